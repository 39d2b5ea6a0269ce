"""Maps that lie over a photo, of classes and of depths: drawn on both sides, with a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from runtime_check.artifact.geometry import Placement
from runtime_check.artifact.metadata import Frozen, OutputTensor

from ..postprocess.photo import UNSEEN
from .drawings import Grid, class_color, depth_colors, hex_color, paint, paint_depth, png

# Entries of a legend: more do not fit beside a photo.
_LEGEND = 8
_STEPS = 24  # of a scale of colors
_BACKGROUND = ("background", "__background__")

Pair = tuple[np.ndarray, np.ndarray]  # eager Python's, and the file's
DrawingKind = Literal["classes", "depth", "boxes", "points", "picture"]


class Share(Frozen):
    """A class of a map and its share of the pixels that the network sees, 0 to 1.

    `color` is empty for a class that is not drawn, and for several in a row.
    """

    label: str
    color: str
    expected: float
    actual: float


class Scale(Frozen):
    """What the colors of a map mean: from `low` to `high`, evenly."""

    low: float
    high: float
    unit: str | None
    colors: list[str]


class Drawing(Frozen):
    """An output drawn on its photo, or a picture of its own, in eager Python and in the file.

    `expected` and `actual` are PNGs as base64.
    """

    output: str
    kind: DrawingKind
    width: int
    height: int
    expected: str
    actual: str
    legend: tuple[Share, ...] = ()
    scale: Scale | None = None


def drawing_of(
    output: str,
    kind: DrawingKind,
    expected: np.ndarray,
    actual: np.ndarray,
) -> Drawing:
    """Return a drawing without a legend; both pictures are uint8 `[H, W, 3]`."""
    height, width = expected.shape[:2]
    return Drawing(
        output=output,
        kind=kind,
        width=width,
        height=height,
        expected=png(expected),
        actual=png(actual),
    )


def grid_of(tensor: OutputTensor, placement: Placement, rows: int, columns: int) -> Grid:
    """Lay a map over the photo, or over what the network sees of it: where the output lies."""
    if tensor.space == "photo":
        return Grid.over_photo(placement.height, placement.width, rows, columns)
    return Grid.over_network(placement, rows, columns)


# --- classes --------------------------------------------------------------------------------------


def classes_drawing(
    tensor: OutputTensor,
    labels: Sequence[str] | None,
    photo: np.ndarray,
    placement: Placement,
    pair: Pair,
) -> Drawing | None:
    """Draw a map of classes or masks over `photo`; None where `tensor` is neither."""
    expected, actual = (places_of(tensor, array, placement) for array in pair)
    if expected is None or actual is None:
        return None
    names = _names(tensor, labels)
    pictures = [
        paint(photo, {i: where for i, where in side.where.items() if not _is_clear(i, names)})
        for side in (expected, actual)
    ]
    drawing = drawing_of(tensor.name, "classes", pictures[0], pictures[1])
    return drawing.model_copy(update={"legend": _legend(expected, actual, names)})


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """Which pixels `[H, W]` of a photo belong to each class, and how many pixels were judged."""

    where: Mapping[int, np.ndarray]
    judged: int

    def share(self, index: int) -> float:
        """Return a class's share of what was judged, 0 to 1."""
        return int(self.where[index].sum()) / self.judged if index in self.where else 0.0


def places_of(tensor: OutputTensor, array: np.ndarray, placement: Placement) -> Places | None:
    """Return which pixels of the photo belong to each class that is there.

    Of scores each pixel has the best class; a mask and the score of one class alone are class 1
    above one half (above 0 for scores and logits), else 0. Of several masks, each is a class, and
    they may overlap. Pixels that the network does not see belong to none. None for other outputs.
    """
    layers = _layers(tensor, array)
    if layers is None:
        return None
    grid = grid_of(tensor, placement, *layers.shape[-2:])
    seen = grid.seen
    if layers.ndim == 3:  # masks
        masks = {i: grid.spread(layer) & seen for i, layer in enumerate(layers)}
        there = {i: where for i, where in masks.items() if where.any()}
        return Places(where=there, judged=int(seen.sum()))
    classes = grid.spread(layers)
    if tensor.holds == "class_map" and tensor.space == "photo":
        seen = seen & (classes != UNSEEN)
    there = {int(i): (classes == i) & seen for i in np.unique(classes[seen])}
    return Places(where=there, judged=int(seen.sum()))


def _layers(tensor: OutputTensor, array: np.ndarray) -> np.ndarray | None:
    """Return a class for each cell, int64 `[rows, columns]`, or masks, bool `[masks, ...]`."""
    planes = planes_of(tensor, array)
    if planes is None:
        return None
    one = len(planes) == 1
    if tensor.holds == "class_map":
        return _whole(planes[0]) if one else None
    if tensor.holds == "mask":
        masks: np.ndarray = planes > 0.5
        return _whole(masks[0]) if one else masks
    if tensor.class_axis is None:
        return None
    if one:
        return _whole(planes[0] > (0.5 if tensor.holds == "probabilities" else 0.0))
    best: np.ndarray = np.argmax(planes, axis=0)
    return best


def _whole(cells: np.ndarray) -> np.ndarray:
    whole: np.ndarray = cells.astype(np.int64)
    return whole


def planes_of(tensor: OutputTensor, array: np.ndarray) -> np.ndarray | None:
    """Return an output over a picture as `[planes, rows, columns]`; None where it is none.

    Besides rows and columns at most one dimension may have a size other than 1.
    """
    if not {"H", "W"} <= set(tensor.axes) or len(tensor.axes) != array.ndim or not array.size:
        return None
    ends = tensor.axes.index("H"), tensor.axes.index("W")
    moved = np.moveaxis(array, ends, (-2, -1))
    if sum(size != 1 for size in moved.shape[:-2]) > 1:
        return None
    return moved.reshape(-1, *moved.shape[-2:])


def _names(tensor: OutputTensor, labels: Sequence[str] | None) -> Sequence[str]:
    planes = [
        size for axis, size in zip(tensor.axes, tensor.shape, strict=True) if axis not in ("H", "W")
    ]
    one = all(size == 1 for size in planes)
    if one and (tensor.holds == "mask" or tensor.class_axis is not None):
        return ("background", labels[0] if labels and len(labels) == 1 else "mask")
    return labels or ()


def _is_clear(index: int, names: Sequence[str]) -> bool:
    """Whether a class is not drawn: one below zero, and class 0 where it is the background."""
    return index < 0 or (index == 0 and bool(names) and names[0] in _BACKGROUND)


def _legend(expected: Places, actual: Places, names: Sequence[str]) -> tuple[Share, ...]:
    """Name the classes of either side, eager Python's largest first."""
    present = {*expected.where, *actual.where}
    shares = [
        Share(
            label=names[i] if 0 <= i < len(names) else f"class {i}",
            color="" if _is_clear(i, names) else hex_color(class_color(i)),
            expected=expected.share(i),
            actual=actual.share(i),
        )
        for i in sorted(present, key=lambda i: (-expected.share(i), i))
    ]
    if len(shares) <= _LEGEND:
        return tuple(shares)
    rest = shares[_LEGEND - 1 :]
    more = Share(
        label=f"{len(rest)} more classes",
        color="",
        expected=sum(share.expected for share in rest),
        actual=sum(share.actual for share in rest),
    )
    return (*shares[: _LEGEND - 1], more)


# --- depths ---------------------------------------------------------------------------------------


def depth_drawing(
    tensor: OutputTensor, photo: np.ndarray, placement: Placement, pair: Pair
) -> Drawing | None:
    """Draw a map of depths, both sides in the same colors; None where `tensor` is no map."""
    planes = [planes_of(tensor, array) for array in pair]
    if any(side is None or len(side) != 1 for side in planes):
        return None
    maps = [side[0] for side in planes if side is not None]
    finite = np.concatenate([side[np.isfinite(side)].astype(np.float64) for side in maps])
    if not finite.size:
        return None
    low, high = float(finite.min()), float(finite.max())
    pictures = [
        paint_depth(photo, side, grid_of(tensor, placement, *side.shape), (low, high))
        for side in maps
    ]
    colors = [hex_color(color) for color in depth_colors(np.linspace(0, 1, _STEPS))]
    scale = Scale(low=low, high=high, unit=tensor.unit, colors=colors)
    drawing = drawing_of(tensor.name, "depth", pictures[0], pictures[1])
    return drawing.model_copy(update={"scale": scale})
