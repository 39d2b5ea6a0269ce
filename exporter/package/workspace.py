"""Where an export is made, and from where its files appear in all places at once, or in none."""

from __future__ import annotations

import errno
import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from runtime_check.errors import RuntimeCheckError
from runtime_check.options import Format
from runtime_check.scratch import folder_made, reserved, scratch_folder
from runtime_check.together import FINISHED, put_in_place

from ..errors import ExportError, UsageError

# What an export writes for each format: the file, and its reports.
ENDINGS: dict[Format, tuple[str, ...]] = {
    "ptl": (".ptl", ".report.json", ".report.html"),
    "pte": (".pte", ".pte.report.json", ".pte.report.html"),
}
# How long an export waits for another one that writes the same file.
WAIT_SECONDS = 10.0
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NEARLY_FULL = 2**20  # bytes


@dataclass(kw_only=True)
class Workspace:
    """Scratch folders in the output folder and where apps load models; see `workspace`."""

    scratch: Path  # in the output folder
    others: tuple[Path, ...]  # in other folders, where apps load models
    apps: tuple[Path, ...]  # those folders as they were named
    format: Format = "ptl"
    weights: int = 0  # bytes, once they are known
    _reserved: set[Path] = field(default_factory=set)
    _stack: ExitStack

    @property
    def out(self) -> Path:
        """The output folder."""
        return self.scratch.parent

    def file(self, name: str) -> Path:
        """Return where the finished file is written; its reports belong beside it."""
        return self.scratch / FINISHED / f"{name}.{self.format}"

    def begin(self, name: str, weights: int = 0) -> None:
        """Reserve a name for this export, whose weights take so many bytes.

        Raises `UsageError` where another export writes files of this name and is not done soon, or
        where a folder has the name of one of them.
        """
        self.weights = weights
        for folder, endings in self._places():
            for ending in endings:
                _require_no_folder(folder / f"{name}{ending}")
            self._reserve(folder / f"{name}.{self.format}")

    def publish(self, file: Path) -> tuple[Path, tuple[Path, ...]]:
        """Move the finished file, the reports beside it and copies for the apps into place.

        Returns where the file is, and where the copies are. All of them appear or, on any error,
        none. Raises `UsageError` where a file cannot be written.
        """
        for scratch in self.others:
            (scratch / FINISHED).mkdir()
            shutil.copyfile(file, scratch / FINISHED / file.name)
        try:
            put_in_place([self.scratch, *self.others])
        except OSError as error:
            if error.errno in _FULL:
                raise
            raise UsageError(
                f"{error.filename2 or error.filename or self.out} cannot be written: "
                f"{error.strerror}. All files are as they were before."
            ) from error
        return self.out / file.name, tuple(app / file.name for app in self.apps)

    def _places(self) -> Iterator[tuple[Path, Sequence[str]]]:
        yield self.out, ENDINGS[self.format]
        for scratch in self.others:
            yield scratch.parent, ENDINGS[self.format][:1]

    def _reserve(self, path: Path) -> None:
        if path in self._reserved:
            return
        busy = (
            f"Another export is writing {path}. Wait until it is done, or choose another --name "
            "or --out."
        )
        try:
            self._stack.enter_context(reserved(path, wait=WAIT_SECONDS, busy=busy))
        except RuntimeCheckError as error:
            raise UsageError(str(error)) from None
        self._reserved.add(path)


@contextmanager
def workspace(
    out: Path, apps: Sequence[Path] = (), name: str | None = None, *, format: Format = "ptl"
) -> Iterator[Workspace]:
    """Yield scratch folders in `out` and in each of `apps`, folders where apps load models.

    What a killed export left there is removed first; of this one nothing is left but what it
    published, also of the folders it made. `name` is reserved at once where it is known. Raises
    `UsageError` where a folder cannot be written, `ExportError` where a disk is full.
    """
    others = {app.resolve(): app for app in apps if app.resolve() != out.resolve()}
    folders = {"--out": [out], "--install": [*others.values()]}
    made: Workspace | None = None
    with ExitStack() as stack:
        try:
            scratches = [_enter(stack, f, o) for o, named in folders.items() for f in named]
            made = Workspace(
                scratch=scratches[0],
                others=tuple(scratches[1:]),
                apps=tuple(apps),
                format=format,
                _stack=stack,
            )
            if name is not None:
                made.begin(name)
            yield made
        except (OSError, RuntimeError) as error:
            if not _is_full(error, [out, *others.values()]):
                raise
            weights = made.weights if made is not None else 0
            raise ExportError(_no_space([out, *others.values()], weights)) from error


def _enter(stack: ExitStack, folder: Path, option: str) -> Path:
    try:
        stack.enter_context(folder_made(folder))
        return stack.enter_context(scratch_folder(folder))
    except OSError as error:
        if error.errno in _FULL:
            raise
        raise UsageError(
            f"{option}: cannot write in {folder}: {error.strerror}. Choose another folder."
        ) from error


def _require_no_folder(path: Path) -> None:
    if path.is_dir():
        raise UsageError(
            f"{path} is a folder, where a file has to go. Remove it, or choose another --out or "
            "--name."
        )


def _is_full(error: Exception, folders: Sequence[Path]) -> bool:
    """Whether a disk is full; torch's writer says only that it failed."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    writing = "PytorchStreamWriter" in str(error) or "write failed" in str(error)
    return writing and _fullest(folders)[0] < _NEARLY_FULL


def _fullest(folders: Sequence[Path]) -> tuple[int, Path]:
    """Return the bytes that are free on the fullest of the disks in use, and a folder on it."""
    temporary = Path(tempfile.gettempdir())
    there = [next(p for p in (f, *f.absolute().parents) if p.exists()) for f in folders]
    return min((shutil.disk_usage(folder).free, folder) for folder in (*there, temporary))


def _no_space(folders: Sequence[Path], weights: int) -> str:
    free, folder = _fullest(folders)
    # Two copies while it is packaged, and one for each app; a megabyte for the reports.
    needed = (1 + len(folders)) * weights + 2**20
    return (
        f"No space left on the disk of {folder}, which has {free / 1e6:.0f} MB free: free about "
        f"{math.ceil(needed / 1e6)} MB, or choose another --out. No file was changed."
    )
