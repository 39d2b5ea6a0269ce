"""Key points: places on a photo with their names and scores, on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runtime_check.artifact.geometry import Placement
from runtime_check.artifact.metadata import Frozen, Output, OutputTensor

from .drawings import Dot, class_color, draw_points
from .pictures import Drawing, Pair, drawing_of

# Rows of the table: more do not fit beside a photo.
_MOST = 10
# Points that are less sure than this are drawn as rings.
_SURE = 0.5


class PointRow(Frozen):
    """A key point on each side: x and y on the photo, in pixels; None where there is none."""

    label: str
    expected: tuple[float, float] | None
    actual: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class KeyPoint:
    """A point on the photo: `index` is its place among those of one thing, `row` among all."""

    row: int
    index: int
    label: str
    x: float
    y: float
    score: float | None

    @property
    def is_sure(self) -> bool:
        """Whether nothing says that the point may not be there."""
        return self.score is None or self.score >= _SURE


@dataclass(frozen=True, kw_only=True)
class Points:
    """What was found in a photo; `total` counts the points of eager Python."""

    drawing: Drawing
    rows: list[PointRow]
    total: int


def points_of(
    output: Output, tensor: OutputTensor, array: np.ndarray, placement: Placement
) -> list[KeyPoint] | None:
    """Return the points `[..., points, 2 or 3]` that lie on the photo; None for other outputs.

    Numbers are x, y and, where there is a third, a score. A point that is not finite, or not on the
    photo, is left out. Labels name the points of one thing where there are as many.
    """
    if tensor.holds != "keypoints" or tensor.space is None or array.shape[-1:] not in ((2,), (3,)):
        return None
    count = array.shape[-2] if array.ndim > 1 else 1
    names = output.labels if output.labels and len(output.labels) == count else None
    found = []
    for row, numbers in enumerate(array.reshape(-1, array.shape[-1]).astype(np.float64).tolist()):
        if not np.isfinite(numbers).all():
            continue
        x, y = numbers[:2]
        if tensor.space == "network":
            x, y = placement.to_photo(x, y)
        if not (0 <= x <= placement.width and 0 <= y <= placement.height):
            continue
        index = row % count
        label = names[index] if names else f"point {index}"
        score = numbers[2] if len(numbers) > 2 else None
        found.append(KeyPoint(row=row, index=index, label=label, x=x, y=y, score=score))
    return found


def points_drawing(
    output: Output, index: int, photo: np.ndarray, placement: Placement, pair: Pair
) -> Points | None:
    """Draw the points of the output at `index` on `photo`; None where it has none to place."""
    tensor = output.tensors[index]
    expected, actual = (points_of(output, tensor, array, placement) for array in pair)
    if expected is None or actual is None:
        return None
    pictures = [draw_points(photo, [_dot(one) for one in side]) for side in (expected, actual)]
    return Points(
        drawing=drawing_of(tensor.name, "points", pictures[0], pictures[1]),
        rows=_rows(expected, actual)[:_MOST],
        total=len(expected),
    )


def _rows(expected: Sequence[KeyPoint], actual: Sequence[KeyPoint]) -> list[PointRow]:
    first, second = ({one.row: one for one in side} for side in (expected, actual))
    labels = {one.row: one.label for one in (*actual, *expected)}
    return [
        PointRow(label=labels[row], expected=_place(first.get(row)), actual=_place(second.get(row)))
        for row in sorted(labels)
    ]


def _place(point: KeyPoint | None) -> tuple[float, float] | None:
    return None if point is None else (point.x, point.y)


def _dot(point: KeyPoint) -> Dot:
    return Dot(x=point.x, y=point.y, color=class_color(point.index), is_filled=point.is_sure)
