"""Files that appear together or not at all, whenever the process or the machine stops.

They are finished in scratch folders (see `scratch`), one in each folder they go to. A journal in
the first of them is the moment of decision: before it is written nothing has changed, afterwards
whoever finds it brings the moves to their end. So a process that is killed between two moves
leaves what the next one finishes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from .stopping import unbroken

SCRATCH = ".unfinished-"  # what the names of scratch folders begin with
FINISHED = "finished"  # in a scratch folder: the files for the folder around it
_REPLACED = "replaced"  # in a scratch folder: those that were there before
_JOURNAL = "journal.json"
_FIRST = "first"  # in the others: where the journal is

_Phase = Literal["finish", "undo"]
_Moves = Mapping[Path, Mapping[str, bool]]  # scratch folder -> file -> whether it replaces one


def put_in_place(scratches: Sequence[Path]) -> None:
    """Move the files in `finished/` of each scratch folder to the folder around it.

    All of them are moved or none is; files of the same names are replaced. Raises `OSError`.
    """
    moves = {scratch.absolute(): _set_aside(scratch) for scratch in scratches}
    first = next(iter(moves))
    for scratch in moves:
        if scratch != first:
            _write(scratch / _FIRST, str(first))
    with unbroken():
        try:
            _decide(first, "finish", moves)
            _finish(moves)
        except BaseException:
            if (first / _JOURNAL).exists():
                _decide(first, "undo", moves)
                _undo(moves)
                (first / _JOURNAL).unlink()
            raise
        for scratch in moves:
            sync_folder(scratch.parent)
        (first / _JOURNAL).unlink()


def journal_of(scratch: Path) -> Path | None:
    """Return the scratch folder whose journal decides about this one; None: it is decided."""
    if (scratch / _JOURNAL).exists():
        return scratch
    with suppress(OSError, ValueError):
        first = Path((scratch / _FIRST).read_text(encoding="utf-8"))
        if (first / _JOURNAL).exists():
            return first
    return None


def recover(first: Path) -> None:
    """Bring to its end what the journal in `first` says; its process is gone.

    Raises `OSError` where a file cannot be moved, `ValueError` for a journal of something else.
    """
    phase, moves = _read(first)
    (_finish if phase == "finish" else _undo)(moves)
    for scratch in moves:
        sync_folder(scratch.parent)
    (first / _JOURNAL).unlink()
    for scratch in moves:
        if scratch != first:
            shutil.rmtree(scratch, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until what was written to a file is on the disk. Raises `OSError` where it is full."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can be asked to."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _set_aside(scratch: Path) -> dict[str, bool]:
    """Keep what will be replaced; what takes its place is on the disk afterwards.

    Returns the names in `finished/` in order, and whether each replaces a file.
    """
    replaces = {}
    (scratch / _REPLACED).mkdir()
    for finished in sorted((scratch / FINISHED).iterdir()):
        sync(finished)
        there, aside = scratch.parent / finished.name, scratch / _REPLACED / finished.name
        replaces[finished.name] = there.is_symlink() or there.exists()
        if replaces[finished.name]:
            try:
                aside.hardlink_to(there)
            except OSError:  # a link, or a file system without hard links
                shutil.copy2(there, aside, follow_symlinks=False)
    for folder in (scratch / FINISHED, scratch / _REPLACED, scratch):
        sync_folder(folder)
    return replaces


def _finish(moves: _Moves) -> None:
    for scratch, names in moves.items():
        for name in names:
            finished = scratch / FINISHED / name
            if finished.exists():  # else it was moved before the process was killed
                finished.replace(scratch.parent / name)


def _undo(moves: _Moves) -> None:
    for scratch, names in moves.items():
        for name, replaces in names.items():
            aside = scratch / _REPLACED / name
            if replaces:
                if aside.is_symlink() or aside.exists():  # else it is back already
                    aside.replace(scratch.parent / name)
            elif not (scratch / FINISHED / name).exists():
                (scratch.parent / name).unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    sync(path)


def _decide(first: Path, phase: _Phase, moves: _Moves) -> None:
    # The first by no name: its folder may be called otherwise when the journal is read.
    others = {str(scratch): names for scratch, names in moves.items() if scratch != first}
    part = first / f"{_JOURNAL}.part"
    _write(part, json.dumps({"phase": phase, "names": moves[first], "others": others}))
    part.replace(first / _JOURNAL)
    sync_folder(first)


def _read(first: Path) -> tuple[_Phase, _Moves]:
    """Read a journal. It may come from elsewhere: it can only name files beside scratch folders."""
    value: Any = json.loads((first / _JOURNAL).read_text(encoding="utf-8"))
    try:
        phase, moves = value["phase"], {first: dict(value["names"])}
        for text, names in value["others"].items():
            scratch = Path(text)
            if scratch.is_dir() and scratch.name.startswith(SCRATCH):
                moves[scratch] = dict(names)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ValueError("not a journal") from error
    plain = all(
        name not in ("", ".", "..") and Path(name).name == name
        for names in moves.values()
        for name in names
    )
    if phase not in ("finish", "undo") or not plain:
        raise ValueError("not a journal")
    return phase, moves
