"""A private copy of a file, hashed while it is read: the bytes judged are the bytes reported."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import UnreadableArtifact
from .scratch import temporary_folder

# Larger than any model a phone takes; a sparse file of terabytes must not fill the disk.
MAX_BYTES = 16 * 2**30


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A copy that nobody can replace while it is judged; `sha256` is of its bytes, in hex."""

    path: Path
    sha256: str


@contextmanager
def snapshot(path: Path) -> Iterator[Snapshot]:
    """Copy a file into a folder that only this user can read; it is gone afterwards.

    Raises `UnreadableArtifact` for what is not a plain file, and where it cannot be copied.
    """
    with temporary_folder() as folder:
        copy = folder / f"artifact{path.suffix[:16]}"
        try:
            digest = _copy(path, copy)
        except OSError as error:
            raise UnreadableArtifact(
                f"{path} cannot be copied to {tempfile.gettempdir()} to be checked: "
                f"{error.strerror or error}."
            ) from error
        yield Snapshot(path=copy, sha256=digest)


def _copy(path: Path, copy: Path) -> str:
    # Not blocking: a named pipe would wait for a writer for ever.
    descriptor = os.open(
        path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    with open(descriptor, "rb") as source, copy.open("xb") as target:  # noqa: PTH123  a descriptor
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise UnreadableArtifact(f"{path} is not a plain file, so not an artifact.")
        if about.st_size > MAX_BYTES:
            raise UnreadableArtifact(
                f"{path} has {about.st_size / 2**30:.0f} GiB, more than any model for a phone."
            )
        digest, left = hashlib.sha256(), MAX_BYTES
        while chunk := source.read(min(left, 2**20)):
            left -= len(chunk)
            digest.update(chunk)
            target.write(chunk)
    return digest.hexdigest()
