"""Pictures that a network gives for a photo: drawn beside it, on both sides in the same range."""

from __future__ import annotations

import numpy as np

from runtime_check.artifact.metadata import OutputTensor

from .drawings import hex_color
from .pictures import Drawing, Pair, Scale, drawing_of, planes_of

# What the numbers of a picture usually reach from and to. The first that holds all of them counts,
# each with a quarter of its length to spare at both ends: networks overshoot.
RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
_SPARE = 0.25


def picture_range(tensor: OutputTensor, *arrays: np.ndarray) -> tuple[float, float] | None:
    """Return which numbers are black and white; None where no value is finite.

    Bytes are as they are. Other numbers have the first range of `RANGES` that holds all finite
    ones, or else their smallest and largest.
    """
    if tensor.dtype == "uint8":
        return 0.0, 255.0
    finite = np.concatenate([a[np.isfinite(a)].astype(np.float64).ravel() for a in arrays])
    if not finite.size:
        return None
    least, most = float(finite.min()), float(finite.max())
    for low, high in RANGES:
        spare = _SPARE * (high - low)
        if low - spare <= least and most <= high + spare:
            return low, high
    return least, most


def picture_of(
    tensor: OutputTensor, array: np.ndarray, limits: tuple[float, float]
) -> np.ndarray | None:
    """Return an output of one, three or four channels as uint8 `[H, W, 3]`; None for others.

    A fourth channel is left out. `limits` are black and white; what is not finite is black.
    """
    planes = planes_of(tensor, array) if tensor.holds == "image" else None
    if planes is None or len(planes) not in (1, 3, 4):
        return None
    low, high = limits
    values = np.nan_to_num(planes[:3].astype(np.float64), nan=low, posinf=low, neginf=low)
    shares = np.clip((values - low) / ((high - low) or 1.0), 0.0, 1.0)
    levels = np.floor(255 * shares + 0.5).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(np.broadcast_to(levels, (3, *levels.shape[1:])), 0, -1))


def picture_drawing(tensor: OutputTensor, pair: Pair) -> Drawing | None:
    """Show the picture of both sides with what is black and white; None for other outputs."""
    limits = picture_range(tensor, *pair) if tensor.holds == "image" else None
    if limits is None:
        return None
    expected, actual = (picture_of(tensor, array, limits) for array in pair)
    if expected is None or actual is None:
        return None
    grays = [hex_color((level, level, level)) for level in range(0, 256, 15)]
    scale = Scale(low=limits[0], high=limits[1], unit=tensor.unit, colors=grays)
    drawing = drawing_of(tensor.name, "picture", expected, actual)
    return drawing.model_copy(update={"scale": scale})
