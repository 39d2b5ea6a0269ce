"""Sign a file: two records more, over all others, so that a reader knows who vouches for it."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from runtime_check.artifact.archive import check_records, open_records, read_artifact
from runtime_check.artifact.metadata import Metadata
from runtime_check.errors import CannotWrite
from runtime_check.files import whole_file
from runtime_check.signing import (
    MANIFEST_RECORD,
    OWN_RECORDS,
    SIGNATURE_RECORD,
    PublicKey,
    manifest_of,
)

from ..errors import UsageError
from .archive import read_records, write_records
from .keys import SecretKey, read_secret_key


def sign(path: Path | str, key: Path | SecretKey) -> PublicKey:
    """Sign the file at `path`, program, metadata and golden vectors together.

    `key` is a secret key or its file. A signature that was there is replaced, and no other record
    changes; the file changes whole or not at all. Returns the key that verifies it.

    Raises `UsageError`, and `runtime_check.UnreadableArtifact` for what is not an exported file.
    """
    path = Path(path).resolve()
    secret = key if isinstance(key, SecretKey) else read_secret_key(key)
    artifact = read_artifact(path)
    behind = (path, artifact.program_bytes) if artifact.program_bytes else None
    with open_records(path) as (archive, _, found):
        names = [record.name for record in found if record.name not in OWN_RECORDS]
        manifest = manifest_of(check_records(archive, path))
    signature = secret.minisig(manifest, comment_of(artifact.metadata))
    extra = ((MANIFEST_RECORD, manifest), (SIGNATURE_RECORD, signature))
    try:
        with whole_file(path) as scratch:
            write_records(scratch, chain(read_records(path, names), extra), behind=behind)
            # What was signed is what is there: every record, read again.
            read_artifact(scratch, verify_key=secret.public)
    except CannotWrite as error:
        raise UsageError(str(error)) from error
    return secret.public


def comment_of(metadata: Metadata) -> str:
    """Return the comment that is signed: what the file is, and no time, so the bytes repeat."""
    name = "".join(c if c.isascii() and c.isprintable() else "?" for c in metadata.name[:200])
    return f"{name}, schema {metadata.schema_version}"
