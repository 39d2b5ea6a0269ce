"""Whether a file can be written where somebody asked for it: found out before the work."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from .errors import RuntimeCheckError


def require_writable(path: Path | None, option: str, *, endings: Sequence[str] = ()) -> None:
    """Raise `RuntimeCheckError` where no file can be written at `path`; it is tried.

    Nothing is left of the trial, folders that were missing included. `endings` are those that the
    option knows (`.html`); with none given, all are right. None as a path is not asked for.
    """
    if path is None:
        return
    if endings and path.suffix.lower() not in endings:
        known = f"{', '.join(endings[:-1])} or {endings[-1]}" if len(endings) > 1 else endings[0]
        raise RuntimeCheckError(f"{option} takes a file that ends in {known}, not {path}.")
    reason = _why_not(path)
    if not reason and path.is_dir():
        raise RuntimeCheckError(f"{option} {path} is a folder; it takes a file.")
    if reason:
        raise RuntimeCheckError(f"{option}: cannot write {path}: {reason}.")


def require_folder(folder: Path | None, option: str) -> None:
    """Raise `RuntimeCheckError` where no files can be written in `folder`, which may be missing."""
    if folder is None:
        return
    reason = _why_not(folder / "x")
    if reason:
        raise RuntimeCheckError(f"{option}: cannot write in {folder}: {reason}.")


def _why_not(path: Path) -> str:
    """Try to write a file beside `path`; return why that failed, or "" where it did not."""
    made: list[Path] = []
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe, /dev/null
            return "" if os.access(path, os.W_OK) else os.strerror(errno.EACCES)
        for folder in reversed([p for p in path.parents if not p.exists()]):
            folder.mkdir()
            made.append(folder)
        part = path.with_name(f"{path.name or '.'}.part")
        if not part.exists():
            part.touch()
            part.unlink()
    except OSError as error:
        return error.strerror or str(error)
    finally:
        for folder in reversed(made):
            folder.rmdir()
    return ""
