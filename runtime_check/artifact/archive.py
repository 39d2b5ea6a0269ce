"""Open a file as data: the zip's records, the metadata, the golden vectors, the bytecode.

A `.ptl` is a zip, a `.pte` a program with one behind it. Nothing here loads the network or runs
anything in the file; it is data from elsewhere, so every read is bounded.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import UnreadableArtifact
from ..signing import (
    MANIFEST_RECORD,
    MAX_MANIFEST_BYTES,
    MAX_SIGNATURE_BYTES,
    SIGNATURE_RECORD,
    PublicKey,
    SignedBy,
    claimed,
    unsigned,
    vouch,
)
from .bytecode import Bytecode, parse_bytecode
from .metadata import GOLDEN_RECORD, METADATA_RECORD, Golden, Metadata, parse_golden, parse_metadata
from .program import is_program
from .zips import END_BYTES, ZIP_END, ZIP_START, Entry, OddZip, check_zip

# Golden images are small and labels are short; larger records are a mistake or an attack.
MAX_METADATA_BYTES = 4 * 2**20
MAX_GOLDEN_BYTES = 64 * 2**20
MAX_BYTECODE_BYTES = 64 * 2**20
# torch stores tensors uncompressed and deflates only code, so real files stay near 1.
MAX_EXPANSION = 20

EXPORT_AGAIN = "Make one with `python -m exporter export MODEL -o DIR`."


@dataclass(frozen=True)
class Record:
    """One member of the zip, below its top folder."""

    name: str
    size: int
    stored: int
    crc: int


@dataclass(frozen=True, kw_only=True)
class ArtifactFile:
    """A `.ptl` or `.pte` read as data; `program_bytes` lie in front of the zip of a `.pte`."""

    path: Path
    bytes: int
    records: tuple[Record, ...]
    metadata: Metadata
    golden: Golden
    bytecode: Bytecode | None  # None: a .pte, which has none
    program_bytes: int = 0
    signature: SignedBy | None = None  # None: not signed


# All that zipfile raises for a damaged or exotic member (encrypted, unknown compression).
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
)


def _what_it_is(path: Path, head: bytes) -> str:
    if not head:
        return "is empty"
    if head[4:8] == b"PTMF":
        return "is a flatbuffer lite file, which carries no metadata this tool can read safely"
    if head[:2] == b"\x80\x02":
        return "is a pickle (an old .pt or .pth checkpoint), not an exported model"
    return "is not a zip archive, so not a lite-interpreter file, or it is truncated"


def _opened(path: Path) -> BinaryIO:
    try:
        if path.is_dir():
            raise UnreadableArtifact(f"{path} is a folder. Give the .ptl file in it.")
        if not path.is_file():
            raise UnreadableArtifact(f"There is no file {path}. {EXPORT_AGAIN}")
        return path.open("rb")
    except OSError as error:
        raise UnreadableArtifact(f"{path} cannot be read: {error.strerror}.") from error


@contextmanager
def open_records(path: Path) -> Iterator[tuple[zipfile.ZipFile, str, tuple[Record, ...]]]:
    """Open the zip and list its records, until the block ends.

    Yields the open zip, the name of its single top folder, and the records below it; the zip of a
    `.pte` lies behind its program. Raises `UnreadableArtifact` for anything that is not a plausible
    torch archive, or that another reader could see other records in.
    """
    with _opened(path) as stream:
        head, size = stream.read(16), stream.seek(0, os.SEEK_END)
        if head[:4] != ZIP_START and not is_program(head):
            raise UnreadableArtifact(
                f"{path} {_what_it_is(path, head)} ({size} bytes). {EXPORT_AGAIN}"
            )
        if is_program(head) and not _ends_with_zip(stream, size):
            raise UnreadableArtifact(
                f"{path} is an ExecuTorch program (.pte) without metadata and golden vectors "
                f"behind it: it was cut off, or not made by this exporter ({size} bytes). "
                f"{EXPORT_AGAIN[:-2]} --format pte`."
            )
        try:
            entries = check_zip(stream, behind=is_program(head))
            archive = zipfile.ZipFile(stream)
        except (OddZip, *_DAMAGE) as error:
            raise UnreadableArtifact(
                f"{path} is not the zip that torch or this exporter writes, and zip readers could "
                f"disagree on what it holds: {error} ({size} bytes). {EXPORT_AGAIN}"
            ) from error
        with archive:
            yield archive, *_plausible(entries, size, path)


def _ends_with_zip(stream: BinaryIO, size: int) -> bool:
    """Whether the last bytes are the end record of a zip without a comment."""
    stream.seek(max(0, size - END_BYTES))
    return stream.read(4) == ZIP_END


def _plausible(entries: tuple[Entry, ...], size: int, path: Path) -> tuple[str, tuple[Record, ...]]:
    """Return the top folder and the records below it; refuse several folders, and zip bombs."""
    roots = {entry.name.split("/", 1)[0] for entry in entries if "/" in entry.name}
    if len(roots) != 1 or any("/" not in entry.name for entry in entries):
        raise UnreadableArtifact(f"{path} is a zip, but not one that torch wrote. {EXPORT_AGAIN}")
    total = sum(entry.size for entry in entries)
    if total > MAX_EXPANSION * size + 2**20:
        raise UnreadableArtifact(
            f"{path} would unpack to {total / 2**20:.0f} MiB in {len(entries)} records from "
            f"{size / 2**20:.1f} MiB: it looks like a zip bomb, not opened."
        )
    root = roots.pop()
    return root, tuple(
        Record(entry.name[len(root) + 1 :], entry.size, entry.stored, entry.crc)
        for entry in entries
    )


def read_record(archive: zipfile.ZipFile, name: str, limit: int, path: Path) -> bytes:
    """Read one record, at most `limit` bytes, its CRC checked; `KeyError` when it is missing."""
    info = archive.getinfo(name)
    if info.file_size > limit:
        raise UnreadableArtifact(
            f"{path}: {name.split('/', 1)[-1]} claims {info.file_size} bytes, and {limit} is the "
            f"most that is read. {EXPORT_AGAIN}"
        )
    try:
        with archive.open(info) as stream:
            data = stream.read(limit + 1)
    except _DAMAGE as error:
        raise UnreadableArtifact(
            f"{path} is damaged: {name} cannot be read ({error}). {EXPORT_AGAIN}"
        ) from error
    if len(data) > limit:
        raise UnreadableArtifact(f"{path}: {name} unpacks to more than {limit} bytes; refused.")
    return data


def check_records(archive: zipfile.ZipFile, path: Path) -> dict[str, str]:
    """Read every record once and check its CRC, which torch's loader does not.

    A flipped bit in a weight would otherwise load without a word and change the answers a little.
    Returns the SHA-256 in hex of each record, by its name below the top folder.
    """
    hashes = {}
    for info in archive.infolist():
        name = info.filename.split("/", 1)[-1]
        digest = hashlib.sha256()
        try:
            with archive.open(info) as stream:
                while block := stream.read(2**20):
                    digest.update(block)
        except _DAMAGE as error:
            raise UnreadableArtifact(
                f"{path} is damaged: {name} cannot be read ({error}). {EXPORT_AGAIN}"
            ) from error
        hashes[name] = digest.hexdigest()
    return hashes


def read_bytecode(path: Path | str) -> Bytecode:
    """Read what a lite file asks of a runtime, whether or not it carries our metadata."""
    path = Path(path)
    with open_records(path) as (archive, root, records):
        return _bytecode(archive, root, records, path)


def _bytecode(
    archive: zipfile.ZipFile, root: str, records: tuple[Record, ...], path: Path
) -> Bytecode:
    try:
        data = read_record(archive, f"{root}/bytecode.pkl", MAX_BYTECODE_BYTES, path)
    except KeyError as error:
        kind = "TorchScript (.pt)" if any(r.name == "data.pkl" for r in records) else "zip"
        raise UnreadableArtifact(
            f"{path} is a {kind} file without lite-interpreter bytecode. {EXPORT_AGAIN}"
        ) from error
    return parse_bytecode(data)


def _signature(archive: zipfile.ZipFile, root: str, path: Path) -> SignedBy | None:
    """Say who signed the file by its own word; None where there is no signature."""
    try:
        name = f"{root}/{SIGNATURE_RECORD}"
        return claimed(read_record(archive, name, MAX_SIGNATURE_BYTES, path))
    except KeyError:
        return None


def _vouched(archive: zipfile.ZipFile, root: str, path: Path, key: PublicKey) -> SignedBy:
    """Verify the file's signature, every record included; raise `NotVouchedFor`."""
    try:
        manifest = read_record(archive, f"{root}/{MANIFEST_RECORD}", MAX_MANIFEST_BYTES, path)
        signature = read_record(archive, f"{root}/{SIGNATURE_RECORD}", MAX_SIGNATURE_BYTES, path)
    except KeyError:
        raise unsigned(key, where=str(path)) from None
    return vouch(manifest, signature, check_records(archive, path), key, where=str(path))


def read_artifact(path: Path | str, *, verify_key: PublicKey | None = None) -> ArtifactFile:
    """Read and validate a `.ptl`; raise `UnreadableArtifact` or `UnsupportedSchema`.

    With `verify_key`, `NotVouchedFor` is raised for a file that this key did not sign, before
    anything in it is used.
    """
    path = Path(path)
    with open_records(path) as (archive, root, records):
        signature = None if verify_key is None else _vouched(archive, root, path, verify_key)
        program = min(info.header_offset for info in archive.infolist())
        bytecode = None if program else _bytecode(archive, root, records, path)
        try:
            meta = read_record(archive, f"{root}/{METADATA_RECORD}", MAX_METADATA_BYTES, path)
            gold = read_record(archive, f"{root}/{GOLDEN_RECORD}", MAX_GOLDEN_BYTES, path)
        except KeyError as error:
            raise UnreadableArtifact(
                f"{path} is a model file, but without {METADATA_RECORD} or "
                f"{GOLDEN_RECORD}: it was not made by this exporter. {EXPORT_AGAIN}"
            ) from error
        check_records(archive, path)
        signature = signature or _signature(archive, root, path)
    metadata = parse_metadata(meta, where=f"{path}: {METADATA_RECORD}")
    _check_program(path, metadata, program)
    return ArtifactFile(
        path=path,
        bytes=path.stat().st_size,
        records=records,
        metadata=metadata,
        golden=parse_golden(gold, where=f"{path}: {GOLDEN_RECORD}"),
        bytecode=bytecode,
        program_bytes=program,
        signature=signature,
    )


def _check_program(path: Path, metadata: Metadata, found: int) -> None:
    """Hold the `found` bytes in front of the zip against the size and hash in the metadata."""
    stated = metadata.program
    if (stated is None) != (found == 0):
        kind = "a .pte" if found else "a .ptl"
        raise UnreadableArtifact(
            f"{path} is {kind}, and its metadata is of a .{metadata.format}: parts of two files "
            f"were put together. {EXPORT_AGAIN}"
        )
    if stated is None:
        return
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        left = found
        while left and (block := stream.read(min(left, 2**20))):
            digest.update(block)
            left -= len(block)
    if stated.bytes != found or stated.sha256 != digest.hexdigest():
        raise UnreadableArtifact(
            f"{path} is damaged: its program is not the one that the metadata was written for "
            f"(SHA-256 of the first {found} bytes). {EXPORT_AGAIN}"
        )
