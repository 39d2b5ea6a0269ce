"""How far two sets of outputs agree in the task's own terms: classes, pixels, vectors, boxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from .artifact.metadata import Metadata
from .artifact.output import Detection, OutputTensor
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
    with a row for each box, and `detection` is what decides which boxes there are.
    """

    kind: Kind
    outputs: int = 1
    output: int = 0
    axis: int = -1
    threshold: float | None = None
    classes: int | None = None
    scores: int | None = None
    rows: tuple[int, ...] = ()
    detection: Detection | None = None


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


def agreement_words(figures: Agreement) -> list[str]:
    """Say the figures of the task's metric."""
    shares = {
        "top-1": figures.top1, "pixels": figures.pixels, "mIoU": figures.miou,
        "boxes": figures.boxes,
    }  # fmt: skip
    words = [f"{name} {share:.1%}" for name, share in shares.items() if share is not None]
    return words if figures.cosine is None else [*words, f"cosine {figures.cosine:.6f}"]


def metric_of(metadata: Metadata) -> Metric:
    """Return what the task of an artifact is judged by."""
    return metric_for(metadata.task, metadata.output.tensors, metadata.output.detection)


def metric_for(
    task: Task | None, tensors: Sequence[OutputTensor], detection: Detection | None = None
) -> Metric:
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
            detection=detection,
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
    return Agreement(boxes=_share(metric, expected, actual, lambda pairs: float(len(pairs))))


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
    return _best(array, metric.axis)


# Pixels whose scores, of some 20 classes, fit into a core's own cache.
_PIXELS = 2**12


def _best(scores: np.ndarray, axis: int) -> np.ndarray:
    """Return `np.argmax`, of few pixels at a time: it copies what it looks at, class by class."""
    place = axis % scores.ndim
    before, classes, after = scores.shape[:place], scores.shape[place], scores.shape[place + 1 :]
    rows = scores.reshape(math.prod(before), classes, math.prod(after))
    found = np.empty((rows.shape[0], rows.shape[2]), np.int64)
    for row, into in zip(rows, found, strict=True):
        for start in range(0, row.shape[1], _PIXELS):
            some = row[:, start : start + _PIXELS]
            largest = some.max(axis=0)
            if np.isnan(largest).any():  # which equals nothing, and is the best by NumPy's rule
                into[start : start + _PIXELS] = np.argmax(some, axis=0)
            else:
                into[start : start + _PIXELS] = np.argmax(some == largest, axis=0)
    return found.reshape(before + after)


# Whole numbers, a map's classes, that are counted without sorting them first.
_MANY_CLASSES = 2**16


def mean_iou(expected: np.ndarray, actual: np.ndarray) -> float:
    """Intersection over union of each class that either map holds, averaged over classes."""
    low = min(int(expected.min()), int(actual.min()))
    classes = max(int(expected.max()), int(actual.max())) - low + 1
    if classes > _MANY_CLASSES:
        values, places = np.unique(np.concatenate([expected, actual]), return_inverse=True)
        expected, actual = np.split(places.reshape(-1), 2)
        low, classes = 0, len(values)
    one = np.bincount(expected.reshape(-1) - low, minlength=classes)
    other = np.bincount(actual.reshape(-1) - low, minlength=classes)
    both = np.bincount(expected[expected == actual].reshape(-1) - low, minlength=classes)
    union = one + other - both
    return float(np.mean(both[union > 0] / union[union > 0]))


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


def mean_overlap(
    metric: Metric, expected: Sequence[np.ndarray], actual: Sequence[np.ndarray]
) -> float | None:
    """Return how much of its partner each box of both sides overlaps on average; 0 without one.

    Where `measure` counts partners, this one tells near ones from far ones. None without boxes.
    """
    return _share(metric, expected, actual, sum)


def _share(
    metric: Metric,
    expected: Sequence[np.ndarray],
    actual: Sequence[np.ndarray],
    counted: Callable[[list[float]], float],
) -> float | None:
    """Return what is `counted` of the overlaps of pairs, as a share of the boxes of both sides."""
    found, total, classes = 0.0, 0, metric.classes
    for start in range(0, len(expected) - metric.outputs + 1, metric.outputs):
        at = start + metric.output
        named = None if classes is None else (expected[start + classes], actual[start + classes])
        for boxes, mates, same in _samples(expected[at], actual[at], named):
            total += len(boxes) + len(mates)
            found += 2 * counted(_pairs(boxes, mates, same))
    return found / total if total else None


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


def _pairs(boxes: np.ndarray, mates: np.ndarray, classes: np.ndarray | None) -> list[float]:
    """Return the overlaps of pairs of boxes, the best first, each box in one pair at most."""
    if not len(boxes) or not len(mates):
        return []
    shares = alike(boxes, mates)
    if classes is not None:
        shares = np.where(classes, shares, 0.0)
    found: list[float] = []
    for _ in range(min(len(boxes), len(mates))):
        row, column = np.unravel_index(int(np.argmax(shares)), shares.shape)
        if shares[row, column] < MATCH:
            break
        found.append(float(shares[row, column]))
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


# Of the largest coordinate, by which two flat boxes lie apart at most to be one and the same.
_FLAT = 1e-4


def alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return `box_iou`, and 1 where two boxes without an area lie in the same place: `[K, L]`.

    A detector that clips its boxes to the photo gives such ones, and they overlap nothing.
    """
    shares = box_iou(one, other)
    left, right = one.astype(np.float64)[:, None], other.astype(np.float64)[None, :]
    flat = [np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) == 0 for boxes in (left, right)]
    if not shares.size or not (flat[0].any() and flat[1].any()):
        return shares
    largest = np.maximum(np.abs(left).max(axis=-1), np.abs(right).max(axis=-1))
    with np.errstate(invalid="ignore"):
        near = np.abs(left - right).max(axis=-1) <= _FLAT * largest
    return np.where(flat[0] & flat[1] & near, 1.0, shares)
