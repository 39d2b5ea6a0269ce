"""How far two sets of outputs agree in the task's own terms: classes, pixels, vectors, boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from .artifact.metadata import Metadata
from .artifact.output import OutputTensor
from .tasks import Task

# classes: scores of which the largest counts. pixels: a class for each. vectors: embeddings, of
# which the direction counts. boxes: matched by overlap. none: the values themselves, no more.
Kind = Literal["classes", "pixels", "vectors", "boxes", "none"]
# Of two boxes, above which they are one and the same: as PASCAL VOC and COCO's AP50 have it.
MATCH = 0.5
# What an output with a number for each box holds, where the number is its score.
SCORES = ("probabilities", "scores", "values")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What is measured, on which of a sample's outputs.

    `outputs` is how many a sample has. `axis` is that of classes, counted from the end; 0 for maps
    whose values are classes, or above `threshold` belong to the one there is. Boxes have scores
    and classes in the outputs `scores` and `classes`, where they have them; `rows` are all outputs
    with a row for each box.
    """

    kind: Kind
    outputs: int = 1
    output: int = 0
    axis: int = -1
    threshold: float | None = None
    classes: int | None = None
    scores: int | None = None
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The figures of a metric, 0 to 1; None where they do not apply."""

    top1: float | None = None
    top5: float | None = None
    pixels: float | None = None
    miou: float | None = None
    cosine: float | None = None
    boxes: float | None = None


CLASSES = Metric(kind="classes")
VALUES = Metric(kind="none")

# The figures of each metric, the one that counts first, and what reports call them.
FIGURES: dict[Kind, tuple[str, ...]] = {
    "classes": ("top1", "top5"),
    "pixels": ("pixels", "miou"),
    "vectors": ("cosine",),
    "boxes": ("boxes",),
    "none": (),
}
HEADINGS = {
    "top1": "top-1", "top5": "top-5", "pixels": "pixels", "miou": "mIoU", "cosine": "cosine",
    "boxes": "boxes",
}  # fmt: skip


class Shares(Protocol):
    """What has the figures of an `Agreement`, such as a row of a ledger."""

    @property
    def top1(self) -> float | None: ...  # noqa: D102  see `Agreement`
    @property
    def pixels(self) -> float | None: ...  # noqa: D102  as above
    @property
    def cosine(self) -> float | None: ...  # noqa: D102  as above
    @property
    def boxes(self) -> float | None: ...  # noqa: D102  as above


def agreement_of(figures: Shares) -> float | None:
    """Return the share that agrees by the task's metric, 0 to 1; None where the task has none."""
    shares = (figures.top1, figures.pixels, figures.cosine, figures.boxes)
    return next((share for share in shares if share is not None), None)


def metric_of(metadata: Metadata) -> Metric:
    """Return what the task of an artifact is judged by."""
    return metric_for(metadata.task, metadata.output.tensors)


def metric_for(task: Task | None, tensors: Sequence[OutputTensor]) -> Metric:
    """Return what outputs like `tensors` are judged by, where `task` is what they are for."""
    for index, tensor in enumerate(tensors):
        metric = _of_one(task, tensor)
        if metric.kind == "none":
            continue
        held = [t.holds for t in tensors]
        rows = [i for i, t in enumerate(tensors) if t.axes[:1] == ["boxes"]]
        scores = [i for i in rows if tensors[i].axes == ["boxes"] and held[i] in SCORES]
        return Metric(
            kind=metric.kind,
            outputs=len(tensors),
            output=index,
            axis=metric.axis,
            threshold=metric.threshold,
            classes=held.index("class_index") if "class_index" in held else None,
            scores=scores[0] if scores else None,
            rows=tuple(rows),
        )
    return Metric(kind="none", outputs=max(1, len(tensors)))


def _of_one(task: Task | None, tensor: OutputTensor) -> Metric:
    axis = tensor.class_axis
    if tensor.holds == "boxes":
        return Metric(kind="boxes")
    if task == "image-segmentation" and tensor.holds in ("class_map", "mask"):
        return Metric(kind="pixels", axis=0, threshold=0.5 if tensor.holds == "mask" else None)
    if task == "image-segmentation" and axis is not None:
        if tensor.shape[axis] > 1:
            return Metric(kind="pixels", axis=axis - len(tensor.shape))
        # One class alone: a sigmoid's half, or the logit of one.
        return Metric(
            kind="pixels", axis=0, threshold=0.5 if tensor.holds == "probabilities" else 0.0
        )
    if tensor.holds == "embedding" and tensor.shape and tensor.shape[-1] > 1:
        return Metric(kind="vectors")
    ranks = task in ("image-classification", "multi-label-classification")
    last = len(tensor.shape) - 1
    if ranks and axis is not None and axis == last and tensor.shape[axis] > 1:
        return Metric(kind="classes")
    return Metric(kind="none")


def measure(
    metric: Metric, expected: Sequence[np.ndarray], actual: Sequence[np.ndarray]
) -> Agreement:
    """Measure arrays of equal shapes: each of a sample's outputs, of several samples in a row.

    Or each output of all samples stacked, where their shapes are equal.
    """
    if metric.kind == "none" or not expected or metric.output >= len(expected):
        return Agreement()
    one = [*expected[metric.output :: metric.outputs]]
    other = [*actual[metric.output :: metric.outputs]]
    if metric.kind == "classes":
        return _ranks(one, other)
    if metric.kind == "pixels":
        return _maps(metric, one, other)
    if metric.kind == "vectors":
        return Agreement(cosine=_cosine(one, other))
    if metric.classes is None:
        return Agreement(boxes=_matched(one, other, None, None))
    kinds = [*expected[metric.classes :: metric.outputs]]
    return Agreement(boxes=_matched(one, other, kinds, [*actual[metric.classes :: metric.outputs]]))


# --- classes --------------------------------------------------------------------------------------


def _ranked(rows: np.ndarray, k: int) -> np.ndarray:
    # A stable sort, so that ties fall the same way on both sides; of float64, because unsigned
    # numbers wrap around when negated.
    return np.argsort(-rows.astype(np.float64), axis=-1, kind="stable")[:, :k]


def topk_agreement(expected: np.ndarray, actual: np.ndarray, k: int) -> float | None:
    """Share of rows whose top-k label sets agree, by overlap: |A & B| / k, averaged.

    Rows are all dimensions but the last. None with fewer than two classes or fewer than k.
    """
    if expected.ndim == 0 or expected.shape[-1] < max(2, k):
        return None
    first = _ranked(expected.reshape(-1, expected.shape[-1]), k)
    second = _ranked(actual.reshape(-1, actual.shape[-1]), k)
    if not len(first):
        return None
    shared = [
        len(set(a) & set(b)) / k for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]
    return float(np.mean(shared))


def _ranks(one: list[np.ndarray], other: list[np.ndarray]) -> Agreement:
    left, right = _rows(one), _rows(other)
    if left is None or right is None:
        return Agreement()
    return Agreement(top1=topk_agreement(left, right, 1), top5=topk_agreement(left, right, 5))


def _rows(arrays: list[np.ndarray]) -> np.ndarray | None:
    """Put vectors along the last axis below each other; None where they differ in length."""
    if any(a.ndim == 0 or a.shape[-1] != arrays[0].shape[-1] for a in arrays):
        return None
    return np.concatenate([a.reshape(-1, a.shape[-1]) for a in arrays])


# --- maps -----------------------------------------------------------------------------------------


def _maps(metric: Metric, one: list[np.ndarray], other: list[np.ndarray]) -> Agreement:
    left = np.concatenate([_classes(metric, array).ravel() for array in one])
    right = np.concatenate([_classes(metric, array).ravel() for array in other])
    if not left.size:
        return Agreement()
    return Agreement(pixels=float(np.mean(left == right)), miou=mean_iou(left, right))


def _classes(metric: Metric, array: np.ndarray) -> np.ndarray:
    """Return the class of each pixel."""
    if metric.threshold is not None:
        found: np.ndarray = (array > metric.threshold).astype(np.int64)
        return found
    if metric.axis == 0:
        return array.astype(np.int64)
    largest: np.ndarray = np.argmax(array, axis=metric.axis)
    return largest


def mean_iou(expected: np.ndarray, actual: np.ndarray) -> float:
    """Intersection over union of each class that either map holds, averaged over classes."""
    shares = []
    for value in np.union1d(expected, actual):
        left, right = expected == value, actual == value
        shares.append(float((left & right).sum() / (left | right).sum()))
    return float(np.mean(shares))


# --- vectors --------------------------------------------------------------------------------------


def _cosine(one: list[np.ndarray], other: list[np.ndarray]) -> float | None:
    """Return the smallest cosine between two vectors of one place."""
    left, right = _rows(one), _rows(other)
    if left is None or right is None or not len(left):
        return None
    left, right = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    told = lengths > 0
    if not told.any():
        return None
    return float(np.min(np.sum(left * right, axis=1)[told] / lengths[told]))


# --- boxes ----------------------------------------------------------------------------------------


def _matched(
    one: list[np.ndarray],
    other: list[np.ndarray],
    kinds: list[np.ndarray] | None,
    others: list[np.ndarray] | None,
) -> float | None:
    """Return the share of boxes, of both sides together, that have a partner on the other."""
    matched = total = 0
    for index, (left, right) in enumerate(zip(one, other, strict=True)):
        named = None if kinds is None or others is None else (kinds[index], others[index])
        for boxes, mates, classes in _samples(left, right, named):
            total += len(boxes) + len(mates)
            matched += 2 * _pairs(boxes, mates, classes)
    return matched / total if total else None


def _samples(
    left: np.ndarray, right: np.ndarray, named: tuple[np.ndarray, np.ndarray] | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Yield the boxes of each sample `[K, 4]` with which of them share a class, `[K, L]`."""
    if left.ndim > 2:  # stacked, or in a batch
        for index in range(len(left)):
            inner = None if named is None else (named[0][index], named[1][index])
            yield from _samples(left[index], right[index], inner)
        return
    classes = None if named is None else named[0].reshape(-1, 1) == named[1].reshape(1, -1)
    yield left, right, classes


def _pairs(boxes: np.ndarray, mates: np.ndarray, classes: np.ndarray | None) -> int:
    """Count pairs of boxes, the best overlap first, each box in one pair at most."""
    if not len(boxes) or not len(mates):
        return 0
    shares = box_iou(boxes, mates)
    if classes is not None:
        shares = np.where(classes, shares, 0.0)
    found = 0
    for _ in range(min(len(boxes), len(mates))):
        row, column = np.unravel_index(int(np.argmax(shares)), shares.shape)
        if shares[row, column] < MATCH:
            break
        found += 1
        shares[row, :], shares[:, column] = -1.0, -1.0
    return found


def box_iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes `[K, 4]` with `[L, 4]`, x1, y1, x2, y2: `[K, L]`."""
    left, right = one.astype(np.float64)[:, None], other.astype(np.float64)[None, :]
    low, high = np.maximum(left[..., :2], right[..., :2]), np.minimum(left[..., 2:], right[..., 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (left, right)]
    union = areas[0] + areas[1] - shared
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(union > 0, shared / union, 0.0)
