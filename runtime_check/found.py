"""Rows of what a detector finds: those whose scores are nearly equal may come in either order.

Boxes come best score first, and rounding decides between two scores that differ in the last bits.
A comparison place by place would then put one box against another. Rows are paired first: those of
one class whose scores are near, by where their boxes lie. Scores themselves are left in place, so
that another order than the best first still differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .metrics import MATCH, Metric, alike

# Scores of 0 to 1 that lie so near to each other say nothing of which box is the better one.
NEAR = 1e-3


def in_order_of(
    metric: Metric,
    expected: Sequence[np.ndarray],
    actual: Sequence[np.ndarray],
    *,
    paired: bool = False,
    near: float = NEAR,
) -> list[np.ndarray]:
    """Return `actual` with the rows of each sample in the order of `expected`.

    Both hold each of a sample's outputs, of several samples in a row, or each output of all
    samples stacked. What holds no boxes with scores, or another number of them, is left as it is.
    Partners have scores within `near`. With `paired` only pairs differ, of boxes that overlap: rows
    without a partner are given as `expected` has them, of whatever number, and scores go with their
    boxes. That measures rounding; it does not judge.
    """
    found = [*actual]
    if metric.kind != "boxes" or metric.scores is None:
        return found
    for sample in samples(metric, len(found)):
        one, other = expected[sample], found[sample]
        alike = [a.shape for a in one] == [a.shape for a in other]
        if alike or (paired and has_rows(metric, one) and has_rows(metric, other)):
            found[sample] = _sample(metric, one, other, paired, near)
    return found


def samples(metric: Metric, count: int) -> Iterator[slice]:
    """Yield where each sample's outputs are among `count` arrays."""
    for start in range(0, count - metric.outputs + 1, metric.outputs):
        yield slice(start, start + metric.outputs)


def has_rows(metric: Metric, arrays: Sequence[np.ndarray]) -> bool:
    """Whether one sample's outputs have a row for each box, `[K, 4]` with scores `[K]`."""
    boxes = arrays[metric.output]
    return boxes.shape[1:] == (4,) and all(
        arrays[i].shape[:1] == boxes.shape[:1] for i in metric.rows
    )


def _sample(
    metric: Metric,
    expected: Sequence[np.ndarray],
    actual: Sequence[np.ndarray],
    paired: bool,
    near: float,
) -> list[np.ndarray]:
    if actual[metric.output].ndim > 2:  # stacked
        each = [
            _sample(metric, [a[i] for a in expected], [a[i] for a in actual], paired, near)
            for i in range(len(actual[metric.output]))
        ]
        return [np.stack(column) for column in zip(*each, strict=True)]
    among = None
    if paired:  # a box somewhere else is not the same one, whatever its score
        among = alike(expected[metric.output], actual[metric.output]) >= MATCH
    places = partners(metric, expected, actual, among, near)
    given = [*actual]
    for index in metric.rows:
        if paired:
            given[index] = expected[index].astype(actual[index].dtype)
            given[index][places >= 0] = actual[index][places[places >= 0]]
        elif index != metric.scores:
            given[index] = given[index][_filled(places)]
    return given


def partners(
    metric: Metric,
    expected: Sequence[np.ndarray],
    actual: Sequence[np.ndarray],
    among: np.ndarray | None = None,
    near: float = NEAR,
) -> np.ndarray:
    """Return which row of `actual` is the partner of each row of `expected`; -1 where none is.

    Partners are of one class, their scores are `near`, and they are `among` those that may
    be, `[K, L]`.
    """
    assert metric.scores is not None
    boxes, others = expected[metric.output], actual[metric.output]
    scores, given = expected[metric.scores], actual[metric.scores]
    with np.errstate(invalid="ignore"):
        apart = np.abs(boxes[:, None].astype(np.float64) - others[None]).max(axis=2, initial=0.0)
        fits = np.abs(scores[:, None].astype(np.float64) - given[None]) <= near
    if among is not None:
        fits &= among
    if metric.classes is not None:
        fits &= expected[metric.classes][:, None] == actual[metric.classes][None]
    apart = np.where(fits & np.isfinite(apart), apart, np.inf)
    places = np.full(len(boxes), -1)
    for row in range(len(boxes) if len(others) else 0):
        best = int(np.argmin(apart[row]))
        if np.isfinite(apart[row, best]):
            places[row] = best
            apart[:, best] = np.inf
    return places


def _filled(places: np.ndarray) -> np.ndarray:
    """Give rows without a partner what is left over."""
    filled: np.ndarray = places.copy()
    filled[places < 0] = np.setdiff1d(np.arange(len(places)), places)
    return filled
