"""Folders of images: typical ones to calibrate on, class folders to train on or to judge by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..errors import ImageFolderError
from ..progress import Listener, silent

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
# Images in one preprocessed batch.
BATCH = 16

# An RGB image to a tensor C,H,W.
Reader = Callable[[Image.Image], Tensor]


@dataclass(frozen=True, kw_only=True)
class ImageBatches:
    """Preprocessed batches N,C,H,W with the count of images and the files skipped."""

    batches: tuple[Tensor, ...]
    images: int
    skipped: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """The readable images of a folder, in order of their paths.

    `classes[i]` is the index of image i among the model's labels; None for plain images. `skipped`
    names files that are not readable images.
    """

    paths: tuple[Path, ...]
    classes: tuple[int, ...] | None
    skipped: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, indices: Sequence[int], reader: Reader) -> Tensor:
        """Read images through `reader`; return the batch N,C,H,W."""
        return torch.stack([reader(_opened(self.paths[i])) for i in indices])


def image_files(folder: Path) -> list[Path]:
    """List the image files below `folder`, sorted; raise ImageFolderError when there are none."""
    if not folder.exists():
        raise ImageFolderError(f"There is no folder {folder}. Give a folder of images.")
    if not folder.is_dir():
        raise ImageFolderError(f"{folder} is a file. Give the folder that holds the images.")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        raise ImageFolderError(f"{folder} holds no image file ({endings}), nor do its subfolders.")
    return files


def spread(files: Sequence[Path], limit: int) -> list[Path]:
    """Choose `limit` files evenly, so that sorted class folders are all represented."""
    if len(files) <= limit:
        return list(files)
    return [files[i * len(files) // limit] for i in range(limit)]


def read_image(path: Path) -> Image.Image | None:
    """Read `path` as RGB; None when it is broken, truncated or absurdly large."""
    try:
        with Image.open(path) as image:
            rgb: Image.Image = image.convert("RGB")
            return rgb
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _opened(path: Path) -> Image.Image:
    image = read_image(path)
    if image is None:
        raise ImageFolderError(f"{path} could be read a while ago and cannot be now.")
    return image


def read_batches(
    folder: Path, reader: Reader, *, limit: int, tell: Listener = silent
) -> ImageBatches:
    """Read up to `limit` images of `folder`, from all over it, through the model's own `reader`.

    Broken files are skipped and named. Raises ImageFolderError when no file can be read.
    """
    files = spread(image_files(folder), limit)
    tensors: list[Tensor] = []
    skipped: list[str] = []
    for index, path in enumerate(files):
        image = read_image(path)
        if image is None:
            skipped.append(path.name)
        else:
            tensors.append(reader(image))
        tell("reading calibration images", index + 1, len(files))
    if not tensors:
        raise _unreadable(folder, files)
    batches = tuple(torch.stack(tensors[i : i + BATCH]) for i in range(0, len(tensors), BATCH))
    return ImageBatches(batches=batches, images=len(tensors), skipped=tuple(skipped))


def open_folder(
    folder: Path, *, labels: Sequence[str] | None = None, limit: int | None = None
) -> ImageFolder:
    """Look at every image of `folder`, or at `limit` from all over it, to be read when needed.

    `labels` are the model's, in order. Where the folder has subfolders they must carry the labels'
    names (upper and lower case, spaces, `-` and `_` alike) or numbers, and give the classes; a
    folder without subfolders has plain images. Broken images are skipped and named. Raises
    ImageFolderError where subfolders match no label, or where no file can be read.
    """
    files = image_files(folder)
    files = files if limit is None else spread(files, limit)
    by_folder = None if labels is None else _classes(folder, labels)
    readable = [path for path in files if read_image(path) is not None]
    if not readable:
        raise _unreadable(folder, files)
    classes = None
    if by_folder is not None:
        loose = [path for path in files if path.parent == folder]
        if loose:
            raise ImageFolderError(
                f"{len(loose)} images lie in {folder} itself (first: {loose[0].name}), outside "
                "every class folder. Sort them in, or give a folder of plain images."
            )
        classes = tuple(by_folder[path.relative_to(folder).parts[0]] for path in readable)
    skipped = set(files) - set(readable)
    return ImageFolder(
        paths=tuple(readable),
        classes=classes,
        skipped=tuple(path.name for path in files if path in skipped),
    )


def _unreadable(folder: Path, files: Sequence[Path]) -> ImageFolderError:
    return ImageFolderError(
        f"None of the {len(files)} image files in {folder} can be read (first: {files[0].name}). "
        "They are broken, or no images under an image's name."
    )


def _plain_name(name: str) -> str:
    return name.strip().lower().replace("_", " ").replace("-", " ")


def _classes(folder: Path, labels: Sequence[str]) -> dict[str, int] | None:
    """Match the class folders of `folder` with `labels`; None where there are no subfolders."""
    known: dict[str, int] = {}
    for index, label in enumerate(labels):
        for name in (label, label.split(",")[0], str(index)):
            known.setdefault(_plain_name(name), index)
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir())
    strangers = [name for name in folders if _plain_name(name) not in known]
    if strangers:
        shown = ", ".join(strangers[:5]) + (", ..." if len(strangers) > 5 else "")
        raise ImageFolderError(
            f"{len(strangers)} of {len(folders)} class folders in {folder} match none of the "
            f"model's {len(labels)} labels: {shown}. Labels look like: "
            f"{', '.join(labels[:3])}. Rename the folders, or give the labels with --labels."
        )
    return {name: known[_plain_name(name)] for name in folders} or None
