"""Golden inputs for people: what eager Python and the file made of each, in the task's own form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from runtime_check.artifact.metadata import Frozen, ImageInput, Metadata, OutputTensor
from runtime_check.differences import blocks, largest_distance

from .drawings import as_rgb, png
from .images import picture_drawing
from .objects import DetectedBox, boxes_drawing
from .pictures import Drawing, classes_drawing, depth_drawing
from .points import PointRow, points_drawing

# Classes of a bar chart, numbers of a regression, outputs of a table: more do not fit beside a
# photo.
_TOP = 5
_NUMBERS = 8
_ROWS = 8


class Bar(Frozen):
    """One row of a chart: what it is of, and its value in eager Python and in the file."""

    label: str
    expected: float
    actual: float


class Bars(Frozen):
    """Values to compare, largest in eager Python first: of classes, or cosines to other inputs."""

    what: Literal["probabilities", "scores", "cosines"]
    rows: list[Bar]


class Number(Frozen):
    """One number of a regression, on both sides."""

    label: str
    unit: str | None
    expected: float | None
    actual: float | None


class Spread(Frozen):
    """Smallest, mean and largest of an output's finite values; None where it has none."""

    minimum: float | None
    mean: float | None
    maximum: float | None


class OutputFigures(Frozen):
    """An output that is not drawn: its shape for this input, and its values on both sides."""

    output: str
    shape: list[int]
    expected: Spread
    actual: Spread


class GoldenView(Frozen):
    """One golden input and what came out, for people; `others` are outputs not shown otherwise."""

    name: str
    width: int = 0
    height: int = 0
    png: str = ""  # base64; empty where the input is no photo
    max_abs: float
    bars: Bars | None = None
    drawing: Drawing | None = None
    boxes: tuple[DetectedBox, ...] = ()
    boxes_total: int = 0
    points: tuple[PointRow, ...] = ()
    points_total: int = 0
    numbers: tuple[Number, ...] = ()
    others: tuple[OutputFigures, ...] = ()
    left_out: int = 0  # outputs beyond those of `others`


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """One golden input: its photo `[H, W, channels]`, if it is one, and the outputs of both sides.

    `expected` is eager Python's, `actual` the file's, in the order of the metadata's outputs.
    """

    name: str
    photo: np.ndarray | None
    expected: Sequence[np.ndarray]
    actual: Sequence[np.ndarray]


def golden_views(metadata: Metadata, judged: Sequence[Judged]) -> list[GoldenView]:
    """Show each golden input by the task of the file."""
    return [_view(metadata, judged, index) for index in range(len(judged))]


def _view(metadata: Metadata, judged: Sequence[Judged], index: int) -> GoldenView:
    one = judged[index]
    fields, shown = _by_task(metadata, judged, index)
    if one.photo is not None:
        height, width = one.photo.shape[:2]
        fields |= {"png": png(as_rgb(one.photo)), "width": width, "height": height}
    rest = [i for i in range(len(one.expected)) if i not in shown]
    names = [tensor.name for tensor in metadata.output.tensors]
    return GoldenView.model_validate(
        {
            "name": one.name,
            "max_abs": _largest_difference(one),
            "others": [
                OutputFigures(
                    output=names[i],
                    shape=list(one.expected[i].shape),
                    expected=_spread(one.expected[i]),
                    actual=_spread(one.actual[i]),
                )
                for i in rest[:_ROWS]
            ],
            "left_out": max(0, len(rest) - _ROWS),
            **fields,
        }
    )


def _by_task(
    metadata: Metadata, judged: Sequence[Judged], index: int
) -> tuple[dict[str, object], set[int]]:
    """Return the fields of a view that the task fills, and the outputs that they show."""
    task, tensors = metadata.task, metadata.output.tensors
    one = judged[index]
    if task in ("image-classification", "multi-label-classification"):
        for place, tensor in enumerate(tensors):
            if is_row_of_classes(tensor):
                bars = _class_bars(tensor, one.expected[place], one.actual[place], metadata)
                return {"bars": bars}, {place}
    if task == "image-feature-extraction":
        for place, tensor in enumerate(tensors):
            cosines = _cosine_bars(judged, index, place) if tensor.holds == "embedding" else None
            if cosines is not None:
                return {"bars": cosines}, {place}
    if task == "image-regression":
        small = {i for i, t in enumerate(one.expected) if t.size <= _NUMBERS}
        numbers = [n for i in sorted(small) for n in _numbers(tensors[i], one, i)]
        return {"numbers": numbers}, small
    if isinstance(metadata.input, ImageInput) and one.photo is not None:
        return _drawn(metadata, metadata.input, one, as_rgb(one.photo))
    return {}, set()


def _drawn(
    metadata: Metadata, image: ImageInput, one: Judged, photo: np.ndarray
) -> tuple[dict[str, object], set[int]]:
    placement = image.geometry.place(*photo.shape[:2])
    sides = (one.expected, one.actual)
    if metadata.task == "object-detection":
        found = boxes_drawing(metadata.output, photo, placement, sides)
        if found is not None:
            return {
                "drawing": found.drawing, "boxes": found.boxes, "boxes_total": found.total,
            }, found.shown  # fmt: skip
    for index, tensor in enumerate(metadata.output.tensors):
        pair = one.expected[index], one.actual[index]
        drawing = None
        if metadata.task == "keypoint-detection":
            points = points_drawing(metadata.output, index, photo, placement, pair)
            if points is not None:
                return {
                    "drawing": points.drawing, "points": points.rows, "points_total": points.total,
                }, {index}  # fmt: skip
        if metadata.task == "image-segmentation":
            drawing = classes_drawing(tensor, metadata.output.labels, photo, placement, pair)
        elif metadata.task == "depth-estimation" and tensor.holds == "depth":
            drawing = depth_drawing(tensor, photo, placement, pair)
        elif metadata.task == "image-to-image":
            drawing = picture_drawing(tensor, pair)
        if drawing is not None:
            return {"drawing": drawing}, {index}
    return {}, set()


def is_row_of_classes(tensor: OutputTensor) -> bool:
    """Whether an output ranks the classes of one picture: no other dimension has a size but 1."""
    axis = tensor.class_axis
    return axis is not None and all(size == 1 for i, size in enumerate(tensor.shape) if i != axis)


def _class_bars(
    tensor: OutputTensor, expected: np.ndarray, actual: np.ndarray, metadata: Metadata
) -> Bars:
    labels = metadata.output.labels
    first, second = expected.ravel(), actual.ravel()
    rows = [
        Bar(
            label=labels[i] if labels and i < len(labels) else f"class {i}",
            expected=float(first[i]),
            actual=float(second[i]),
        )
        for i in np.argsort(-first.astype(np.float64), kind="stable")[:_TOP].tolist()
    ]
    return Bars(what="probabilities" if tensor.holds == "probabilities" else "scores", rows=rows)


def _cosine_bars(judged: Sequence[Judged], index: int, place: int) -> Bars | None:
    """Return the cosines of an input's embedding to the other inputs', the nearest first.

    None where there is no other input, or an embedding of another size.
    """
    sides = [[one.expected[place] for one in judged], [one.actual[place] for one in judged]]
    if len(judged) < 2 or len({array.size for side in sides for array in side}) > 1:
        return None
    expected, actual = (_cosines(side, index) for side in sides)
    rows = [
        Bar(label=judged[i].name, expected=float(expected[i]), actual=float(actual[i]))
        for i in np.argsort(-expected, kind="stable").tolist()
        if i != index
    ]
    return Bars(what="cosines", rows=rows)


def _cosines(embeddings: Sequence[np.ndarray], index: int) -> np.ndarray:
    """Return the cosine of each embedding with that at `index`, 0 for one of no length."""
    vectors = np.stack([e.astype(np.float64).ravel() for e in embeddings])
    lengths = np.linalg.norm(vectors, axis=1)
    units = vectors / np.where(lengths > 0, lengths, 1.0)[:, None]
    cosines: np.ndarray = units @ units[index]
    return cosines


def _numbers(tensor: OutputTensor, one: Judged, index: int) -> list[Number]:
    first, second = one.expected[index].ravel(), one.actual[index].ravel()
    return [
        Number(
            label=tensor.name if first.size == 1 else f"{tensor.name}[{i}]",
            unit=tensor.unit,
            expected=_finite(first[i]),
            actual=_finite(second[i]),
        )
        for i in range(first.size)
    ]


def _finite(value: np.generic) -> float | None:
    return float(value) if np.isfinite(value) else None


def _spread(array: np.ndarray) -> Spread:
    finite = np.isfinite(array)
    values = array if finite.all() else array[finite]
    if not values.size:
        return Spread(minimum=None, mean=None, maximum=None)
    mean = float(values.mean(dtype=np.float64))
    return Spread(minimum=float(values.min()), mean=mean, maximum=float(values.max()))


def _largest_difference(one: Judged) -> float:
    """Return the largest difference of finite values over all outputs of the same shape."""
    largest = 0.0
    for expected, actual in zip(one.expected, one.actual, strict=True):
        if expected.shape != actual.shape:  # another number of boxes
            continue
        for _, first, second in blocks(expected, actual):
            both = np.isfinite(first) & np.isfinite(second)
            largest = max(largest, largest_distance(first[both], second[both]))
    return largest
