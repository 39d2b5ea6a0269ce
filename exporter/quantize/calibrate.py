"""Turn a folder of images into calibration batches, and refuse what would calibrate nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..errors import CalibrationError
from ..progress import Listener, silent

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
# Neighbouring pixels of a photo are alike; of noise they are not. Correlation below this, on
# average over the images, is no photo, drawing or scan. Photos measure 0.9 and more.
_LEAST_CORRELATION = 0.3

Preprocess = Callable[[Image.Image], Tensor]


@dataclass(frozen=True, kw_only=True)
class CalibrationSet:
    """Normalised batches (N,C,H,W float32) with the count of images and the files skipped."""

    batches: tuple[Tensor, ...]
    images: int
    skipped: tuple[str, ...]

    def __str__(self) -> str:
        if not self.skipped:
            return f"{self.images} images"
        first = ", ".join(self.skipped[:3]) + (", ..." if len(self.skipped) > 3 else "")
        return f"{self.images} images, {len(self.skipped)} unreadable ones skipped ({first})"


def image_files(folder: Path) -> list[Path]:
    """List the image files below `folder`, sorted; raise CalibrationError when there are none."""
    if not folder.exists():
        raise CalibrationError(f"There is no folder {folder}. Give a folder of images.")
    if not folder.is_dir():
        raise CalibrationError(f"{folder} is a file. Give the folder that holds the images.")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        raise CalibrationError(f"{folder} holds no image file ({endings}), nor do its subfolders.")
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


def neighbour_correlation(batch: Tensor) -> float:
    """Return the mean correlation between horizontally neighbouring pixels of N,C,H,W images.

    1 for a constant image: flat is no noise.
    """
    left, right = batch[..., :-1].flatten(2).double(), batch[..., 1:].flatten(2).double()
    left = left - left.mean(-1, keepdim=True)
    right = right - right.mean(-1, keepdim=True)
    power = (left.square().sum(-1) * right.square().sum(-1)).sqrt()
    correlation = torch.where(power > 0, (left * right).sum(-1) / power.clamp_min(1e-30), 1.0)
    return float(correlation.mean())


def check_calibration(batches: Sequence[Tensor], *, allow_noise: bool = False) -> int:
    """Return the number of images; raise CalibrationError for none, for NaN, and for noise.

    Noise gives ranges that no photo has. `allow_noise` takes it all the same (random weights,
    a smoke test).
    """
    count = sum(len(batch) for batch in batches)
    if not count:
        raise CalibrationError(
            "There is no calibration image. Static int8 takes its ranges from images: give a "
            "folder of 50 to 500 typical ones (--calibration DIR)."
        )
    for batch in batches:
        if not bool(torch.isfinite(batch).all()):
            raise CalibrationError(
                "A calibration batch holds NaN or infinity. Check the preprocessing."
            )
    if allow_noise or any(batch.dim() != 4 for batch in batches):
        return count
    correlation = sum(neighbour_correlation(b) * len(b) for b in batches) / count
    if correlation < _LEAST_CORRELATION:
        raise CalibrationError(
            f"The calibration images look like noise (neighbouring pixels correlate by "
            f"{correlation:.2f}; photos by 0.9). Ranges taken from noise fit no photo. Give real "
            "images, or ask for noise by name (--calibration noise)."
        )
    if all(float(batch.std()) < 1e-6 for batch in batches):
        raise CalibrationError(
            "All calibration images are one flat colour. Give images of what the model will see."
        )
    return count


def calibration_batches(
    folder: Path,
    preprocess: Preprocess,
    *,
    limit: int = 256,
    batch_size: int = 16,
    allow_noise: bool = False,
    tell: Listener = silent,
) -> CalibrationSet:
    """Read up to `limit` images of `folder` through the model's own `preprocess`.

    `preprocess` maps an RGB image to a normalised C,H,W tensor. Broken files are skipped and
    named. `tell` is called after each file. Raises CalibrationError when no
    file can be read, or when the images are noise.
    """
    chosen = spread(image_files(folder), limit)
    tensors: list[Tensor] = []
    skipped: list[str] = []
    for index, path in enumerate(chosen):
        image = read_image(path)
        if image is None:
            skipped.append(path.name)
        else:
            tensors.append(preprocess(image))
        tell("reading calibration images", index + 1, len(chosen))
    if not tensors:
        raise CalibrationError(
            f"None of the {len(chosen)} image files in {folder} can be read (first: "
            f"{chosen[0].name}). They are broken, or no images under an image's name."
        )
    batches = tuple(
        torch.stack(tensors[i : i + batch_size]) for i in range(0, len(tensors), batch_size)
    )
    images = check_calibration(batches, allow_noise=allow_noise)
    return CalibrationSet(batches=batches, images=images, skipped=tuple(skipped))
