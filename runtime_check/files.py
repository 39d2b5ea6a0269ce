"""Files on disk: their hashes, and files and folders that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import CannotWrite
from .scratch import folder_made, scratch_folder
from .together import sync, sync_folder


def file_sha256(path: Path | str) -> str:
    """Hash a file's bytes. Returns 64 hex digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while chunk := stream.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield where to write what becomes `path` when the block ends well, else vanishes.

    Folders that are missing are made. A link is followed, and what is no plain file (a pipe,
    `/dev/null`) is written as it is. Raises `CannotWrite` where that is not possible.
    """
    try:
        if path.exists() and (not path.is_file() or path.parts[:2] == ("/", "dev")):
            yield path  # of a /dev/stdout that is a file, the shell writes the rest
            return
        path = Path(os.path.realpath(path))
        with folder_made(path.parent), scratch_folder(path.parent) as scratch:
            part = scratch / "file"
            yield part
            if path.exists():
                shutil.copymode(path, part)
            sync(part)
            part.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise CannotWrite(f"Cannot write {path}: {error.strerror or error}.") from error


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file in one step; see `whole_file`. Text is UTF-8."""
    with whole_file(path) as part:
        part.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a scratch folder that becomes `target` when the block ends well, else vanishes.

    Where another process makes the same folder meanwhile, its folder is replaced. Raises `OSError`.
    """
    with folder_made(target.parent), scratch_folder(target.parent) as scratch:
        new, old = scratch / "new", scratch / "old"
        new.mkdir()
        yield new
        with suppress(FileNotFoundError):  # what is there is a rebuild's old one
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            quicker = target.is_dir()  # another process, with the same thing
            if old.exists() and not quicker:
                old.rename(target)
            if not quicker:
                raise
