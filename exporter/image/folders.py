"""Folders of images: typical ones to calibrate on, class folders to train on or to judge by."""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePath
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..errors import ImageFolderError
from ..progress import Listener, silent
from .arrays import ARRAY_SUFFIXES, SavedInputs, saved_inputs
from .read import Color, Skipped, UnfitImage, read_photo

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_T = TypeVar("_T")

# Images in one preprocessed batch.
BATCH = 16
# Files and folders looked at. ImageNet's training folder has 1.3 million; a disk has more.
MOST_ENTRIES = 2_000_000
# Skipped images that a report names.
MOST_NAMED = 10

# Pixels, uint8 H,W,C, to a tensor C,H,W.
Reader = Callable[[np.ndarray], Tensor]


@dataclass(frozen=True, kw_only=True)
class SkippedImages:
    """How many files of a folder could not serve for what, and the first of them."""

    use: Literal["calibration", "evaluation", "training"]
    count: int
    first: tuple[Skipped, ...]

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.first[:3])) + (", ..." if self.count > 3 else "")
        images = "image" if self.count == 1 else "images"
        return f"{self.count} {self.use} {images} skipped: {shown}"


def skipped_for(
    use: Literal["calibration", "evaluation", "training"], skipped: Sequence[Skipped]
) -> tuple[SkippedImages, ...]:
    """Sum up what a report says of `skipped`; nothing where all could serve."""
    if not skipped:
        return ()
    return (SkippedImages(use=use, count=len(skipped), first=tuple(skipped[:MOST_NAMED])),)


@dataclass(frozen=True, kw_only=True)
class ImageBatches:
    """Preprocessed batches N,C,H,W with the files skipped.

    `images` counts all, `saved` those of them that were saved as arrays.
    """

    batches: tuple[Tensor, ...]
    images: int
    skipped: tuple[Skipped, ...]
    saved: int = 0

    def __str__(self) -> str:
        counts = {"image": self.images - self.saved, "saved input": self.saved}
        words = [f"{n} {word}{'' if n == 1 else 's'}" for word, n in counts.items() if n]
        return " and ".join(words)


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """The images of a folder that can serve, in order of their paths; they are read in `color`.

    `classes[i]` is the index of image i among the model's labels; None for plain images. `skipped`
    says of the other files why not.
    """

    paths: tuple[Path, ...]
    classes: tuple[int, ...] | None
    skipped: tuple[Skipped, ...]
    color: Color = "RGB"

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, indices: Sequence[int], reader: Reader) -> Tensor:
        """Read images through `reader`; return the batch N,C,H,W."""
        return torch.stack([reader(photo) for photo in self.read(indices)])

    def read(self, indices: Sequence[int]) -> list[np.ndarray]:
        """Decode images again, uint8 H,W,C each."""
        return [_again(self.paths[i], self.color) for i in indices]


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """What has an image's name below a folder, sorted, and the subfolders that stayed closed."""

    files: list[Path]
    closed: tuple[Skipped, ...]


def image_files(folder: Path, *, arrays: bool = False) -> ImageFiles:
    """List what has an image's name below `folder`; links to folders are followed.

    With `arrays`, NumPy's files are listed as well. Raises ImageFolderError when there is none, and
    for more than MOST_ENTRIES to look at.
    """
    try:
        found = folder.stat()
    except PermissionError as error:
        raise ImageFolderError(f"{folder} cannot be read: you are not allowed to.") from error
    except OSError as error:
        raise ImageFolderError(f"There is no folder {folder}. Give a folder of images.") from error
    if not stat.S_ISDIR(found.st_mode):
        raise ImageFolderError(f"{folder} is a file. Give the folder that holds the images.")
    suffixes = IMAGE_SUFFIXES | ARRAY_SUFFIXES if arrays else IMAGE_SUFFIXES
    files: list[Path] = []
    shut: list[str] = []
    for seen, entry in enumerate(_walk(str(folder), shut)):
        if seen >= MOST_ENTRIES:
            raise ImageFolderError(
                f"{folder} holds more than {MOST_ENTRIES:,} files and folders, subfolders "
                "included. Give the folder that holds the images, and nothing else."
            )
        if PurePath(entry.name).suffix.lower() in suffixes and not _is_folder(entry):
            files.append(Path(entry.path))
    closed = tuple(
        Skipped(name=f"{_inside(Path(path), folder)}/", reason="closed") for path in shut
    )
    if not files and str(folder) in shut:
        raise ImageFolderError(f"{folder} cannot be read: you may not list what it holds.")
    if not files and closed:
        raise ImageFolderError(f"{folder} holds no image file that can be read: {closed[0]}.")
    if not files:
        endings = ", ".join(sorted(suffixes))
        raise ImageFolderError(f"{folder} holds no image file ({endings}), nor do its subfolders.")
    return ImageFiles(files=files, closed=closed)


def _walk(folder: str, shut: list[str]) -> Iterator[os.DirEntry[str]]:
    """Yield what lies below `folder`, sorted as paths are; loops of links are walked once.

    Folders that cannot be listed are added to `shut`.
    """
    # Of every folder on the way down: what is left in it, and which folder it is.
    ways = [(iter(_entries(folder, shut)), _identity(folder))]
    while ways:
        entry = next(ways[-1][0], None)
        if entry is None:
            ways.pop()
            continue
        yield entry
        if _is_folder(entry):
            identity = _identity(entry.path)
            if identity not in [above for _, above in ways]:
                ways.append((iter(_entries(entry.path, shut)), identity))


def _entries(folder: str, shut: list[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:  # not ours to read, or gone
        shut.append(folder)
        return []


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        found = os.stat(folder)  # noqa: PTH116  (a string, of perhaps a million)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def spread(files: Sequence[_T], limit: int) -> list[_T]:
    """Choose `limit` files evenly, so that sorted class folders are all represented."""
    if len(files) <= limit:
        return list(files)
    return [files[i * len(files) // limit] for i in range(limit)]


def _again(path: Path, color: Color) -> np.ndarray:
    try:
        return read_photo(path, color=color)
    except UnfitImage as error:
        raise ImageFolderError(
            f"{path} could be read a while ago and cannot be now: {error.skipped}."
        ) from error


def read_batches(
    folder: Path,
    reader: Reader,
    *,
    limit: int,
    color: Color = "RGB",
    item: Sequence[int] | None = None,
    tell: Listener = silent,
) -> ImageBatches:
    """Read up to `limit` images of `folder`, from all over it, through the model's own `reader`.

    That gets them in `color`. What cannot serve is skipped, and said. With `item`, the shape of
    one network input, NumPy's files are taken too, as inputs that are preprocessed already; then
    `folder` may also be one such file. Raises ImageFolderError when nothing can serve, and
    CalibrationError for arrays that are no inputs.
    """
    found, sources = _sources(folder, item)
    ends = [*accumulate(1 if isinstance(one, Path) else one.count for one in sources)]
    chosen = spread(range(ends[-1]), limit)
    tensors: list[Tensor] = []
    skipped, saved, done = list(found.closed), 0, 0
    for start, end, source in zip([0, *ends], ends, sources, strict=False):
        inside = chosen[bisect_right(chosen, start - 1) : bisect_right(chosen, end - 1)]
        if not inside:
            continue
        if isinstance(source, SavedInputs):
            tensors += source.read([index - start for index in inside], item or ())
            saved += len(inside)
        else:
            try:
                pixels = read_photo(source, color=color, name=_inside(source, folder))
                tensors.append(reader(pixels))
            except UnfitImage as error:
                skipped.append(error.skipped)
        done += len(inside)
        tell("reading calibration images", done, len(chosen))
    if not tensors:
        raise _none_fit(folder, skipped)
    batches = tuple(torch.stack(tensors[i : i + BATCH]) for i in range(0, len(tensors), BATCH))
    return ImageBatches(batches=batches, images=len(tensors), skipped=tuple(skipped), saved=saved)


def _sources(
    folder: Path, item: Sequence[int] | None
) -> tuple[ImageFiles, list[Path | SavedInputs]]:
    """List the photos of `folder`, and the arrays with their counts where `item` asks for them."""
    if item is not None and folder.suffix.lower() in ARRAY_SUFFIXES and folder.is_file():
        return ImageFiles(files=[folder], closed=()), [*saved_inputs(folder, folder.name, item)]
    found = image_files(folder, arrays=item is not None)
    sources: list[Path | SavedInputs] = []
    for path in found.files:
        if item is not None and path.suffix.lower() in ARRAY_SUFFIXES:
            sources += saved_inputs(path, _inside(path, folder), item)
        else:
            sources.append(path)
    return found, sources


def open_folder(
    folder: Path,
    *,
    labels: Sequence[str] | None = None,
    limit: int | None = None,
    color: Color = "RGB",
    keep: Callable[[np.ndarray], None] | None = None,
) -> ImageFolder:
    """Look at every image of `folder`, or at `limit` from all over it, to be read in `color` later.

    `keep` is given the pixels of each that can serve, in order, so that nothing is decoded twice.

    `labels` are the model's, in order. Where the folder has subfolders they must carry the labels'
    names (upper and lower case, spaces, `-` and `_` alike) or numbers, and give the classes; a
    folder without subfolders has plain images. What cannot serve is skipped, and said. Raises
    ImageFolderError where subfolders match no label, or where no file can serve.
    """
    found = image_files(folder)
    files = found.files if limit is None else spread(found.files, limit)
    by_folder = None if labels is None else _classes(folder, labels)
    fit: list[Path] = []
    skipped = list(found.closed)
    for path in files:
        try:
            pixels = read_photo(path, color=color, name=_inside(path, folder))
            fit.append(path)
            if keep is not None:
                keep(pixels)
        except UnfitImage as error:
            skipped.append(error.skipped)
    if not fit:
        raise _none_fit(folder, skipped)
    classes = None
    if by_folder is not None:
        loose = [path for path in fit if path.parent == folder]
        if loose:
            raise ImageFolderError(
                f"{len(loose)} images lie in {folder} itself (first: {loose[0].name}), outside "
                "every class folder. Sort them in, or give a folder of plain images."
            )
        classes = tuple(by_folder[path.relative_to(folder).parts[0]] for path in fit)
    return ImageFolder(paths=tuple(fit), classes=classes, skipped=tuple(skipped), color=color)


def _inside(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _none_fit(folder: Path, skipped: Sequence[Skipped]) -> ImageFolderError:
    return ImageFolderError(
        f"None of the {len(skipped)} image files in {folder} can serve (first: {skipped[0]}). "
        "Give a folder of ordinary images."
    )


def _plain_name(name: str) -> str:
    return name.strip().lower().replace("_", " ").replace("-", " ")


def _classes(folder: Path, labels: Sequence[str]) -> dict[str, int] | None:
    """Match the class folders of `folder` with `labels`; None where there are no subfolders."""
    known: dict[str, int] = {}
    for index, label in enumerate(labels):
        for name in (label, label.split(",")[0], str(index)):
            known.setdefault(_plain_name(name), index)
    folders = [entry.name for entry in _entries(str(folder), []) if _is_folder(entry)]
    strangers = [name for name in folders if _plain_name(name) not in known]
    if strangers:
        shown = ", ".join(strangers[:5]) + (", ..." if len(strangers) > 5 else "")
        raise ImageFolderError(
            f"{len(strangers)} of {len(folders)} class folders in {folder} match none of the "
            f"model's {len(labels)} labels: {shown}. Labels look like: "
            f"{', '.join(labels[:3])}. Rename the folders, or give the labels with --labels."
        )
    return {name: known[_plain_name(name)] for name in folders} or None
