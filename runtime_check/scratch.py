"""Scratch folders beside what they become, and locks.

A process holds the lock of its scratch folder until it ends, however it ends: so the next process
in the same place knows which folders are nobody's, and removes them.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import RuntimeCheckError
from .together import SCRATCH, journal_of, recover

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCK = "lock"
_LOCK_ENDING = ".lock"
# Some network file systems know no locks: there nothing waits, and nothing is cleaned.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_TRIES = 100
_PAUSE = 0.1  # seconds


@contextmanager
def folder_made(folder: Path) -> Iterator[None]:
    """Make `folder` and those around it; those still empty at the end are removed again.

    Raises `OSError` where it cannot be made.
    """
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for made in missing:
            with suppress(OSError):  # there is something in it
                made.rmdir()


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent`, removed at the end; `parent` is there already.

    Scratch folders of dead processes in `parent` are removed first, and what they had begun to put
    in place is brought to its end. Raises `OSError`.
    """
    clean(parent)
    folder, lock = _make(parent)
    try:
        yield folder
    finally:
        # One with a journal could not be brought to its end: the next process tries again.
        if journal_of(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder where the system keeps temporary files; see `scratch_folder`."""
    with scratch_folder(Path(tempfile.gettempdir())) as folder:
        yield folder


@contextmanager
def reserved(path: Path, *, wait: float, busy: str) -> Iterator[None]:
    """Let no other process that reserves `path` write it at the same time.

    Waits up to `wait` seconds for another one, then raises `RuntimeCheckError(busy)`.
    """
    lock = path.with_name(f"{SCRATCH}{path.name}{_LOCK_ENDING}")
    until = time.monotonic() + wait
    while (descriptor := _take(lock, create=True)) is None:
        if time.monotonic() > until:
            raise RuntimeCheckError(busy)
        time.sleep(_PAUSE)
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; the next process does
            lock.unlink()  # while it is locked: nobody else has it
        os.close(descriptor)


def clean(parent: Path) -> None:
    """Remove what dead processes left in `parent`; what cannot be removed stays."""
    for left in parent.glob(f"{SCRATCH}*"):
        with suppress(OSError, ValueError):
            if not _is_ours(left):
                continue
            if left.is_dir():
                _clean_folder(left)
            elif left.name.endswith(_LOCK_ENDING) and (lock := _take(left)) is not None:
                left.unlink()
                os.close(lock)


def _clean_folder(folder: Path) -> None:
    if not (folder / _LOCK).exists():
        folder.rmdir()  # its process may be about to lock it; see `_make`
        return
    lock = _take(folder / _LOCK)
    if lock is None:
        return
    try:
        first = journal_of(folder)
        if first == folder:
            recover(folder)
        elif first is not None and _is_ours(first):
            _clean_folder(first)
        if journal_of(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _is_ours(path: Path) -> bool:
    """Whether this user made it: others' folders may hold anything."""
    if path.is_symlink() or not path.name.startswith(SCRATCH):
        return False
    return sys.platform == "win32" or path.stat().st_uid == os.getuid()


def _make(parent: Path) -> tuple[Path, int]:
    for _ in range(_TRIES):
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=parent))
        # None where another process removed the folder before it was locked.
        lock = _take(folder / _LOCK, create=True)
        if lock is not None:
            return folder, lock
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(parent))


def _take(path: Path, *, create: bool = False) -> int | None:
    """Open and lock a file; None where another process holds it, or has removed it.

    Where the file system knows no locks, one that may be created is opened only.
    """
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | (os.O_CREAT if create else 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:
        return None
    held = False
    try:
        _lock(descriptor)
        held = os.path.samestat(os.fstat(descriptor), path.stat())
    except (BlockingIOError, PermissionError, FileNotFoundError):
        pass
    except OSError as error:
        held = create and error.errno in _NO_LOCKS
    finally:
        if not held:
            os.close(descriptor)
    return descriptor if held else None


def _lock(descriptor: int) -> None:
    """Lock an open file; `BlockingIOError` or `PermissionError` where another process has it."""
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
