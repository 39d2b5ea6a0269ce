"""Rows of what a detector finds: those whose scores are nearly equal may come in either order.

Boxes come best score first, and rounding decides between two scores that differ in the last bits.
A comparison place by place would then put one box against another. Rows are paired first: those of
one class whose scores are near, by where their boxes lie. Scores themselves are left in place, so
that another order than the best first still differs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .metrics import Metric

# Scores of 0 to 1 that lie so near to each other say nothing of which box is the better one.
NEAR = 1e-3


def in_order_of(
    metric: Metric,
    expected: Sequence[np.ndarray],
    actual: Sequence[np.ndarray],
    *,
    paired: bool = False,
) -> list[np.ndarray]:
    """Return `actual` with the rows of each sample in the order of `expected`.

    Both hold each of a sample's outputs, of several samples in a row, or each output of all
    samples stacked. What holds no boxes with scores, or another number of them, is left as it is.
    With `paired` only pairs differ: rows without a partner are given as `expected` has them, and
    scores go with their boxes. That measures rounding; it does not judge.
    """
    found = [*actual]
    if metric.kind != "boxes" or metric.scores is None:
        return found
    for start in range(0, len(found) - metric.outputs + 1, metric.outputs):
        sample = slice(start, start + metric.outputs)
        if [a.shape for a in expected[sample]] == [a.shape for a in found[sample]]:
            found[sample] = _sample(metric, expected[sample], found[sample], paired)
    return found


def _sample(
    metric: Metric, expected: Sequence[np.ndarray], actual: Sequence[np.ndarray], paired: bool
) -> list[np.ndarray]:
    if actual[metric.output].ndim > 2:  # stacked
        each = [
            _sample(metric, [a[i] for a in expected], [a[i] for a in actual], paired)
            for i in range(len(actual[metric.output]))
        ]
        return [np.stack(column) for column in zip(*each, strict=True)]
    places = _places(metric, expected, actual)
    given = [*actual]
    for index in metric.rows:
        if paired:
            lone = (places < 0).reshape(-1, *[1] * (given[index].ndim - 1))
            given[index] = np.where(lone, expected[index], given[index][places])
        elif index != metric.scores:
            given[index] = given[index][_filled(places)]
    return given


def _places(
    metric: Metric, expected: Sequence[np.ndarray], actual: Sequence[np.ndarray]
) -> np.ndarray:
    """Return which row of `actual` is the partner of each row of `expected`; -1 where none is."""
    assert metric.scores is not None
    boxes, others = expected[metric.output], actual[metric.output]
    scores, given = expected[metric.scores], actual[metric.scores]
    apart = np.abs(boxes[:, None].astype(np.float64) - others[None]).max(axis=2, initial=0.0)
    with np.errstate(invalid="ignore"):
        fits = np.abs(scores[:, None].astype(np.float64) - given[None]) <= NEAR
    if metric.classes is not None:
        fits &= expected[metric.classes][:, None] == actual[metric.classes][None]
    apart = np.where(fits & np.isfinite(apart), apart, np.inf)
    places = np.full(len(boxes), -1)
    for row in range(len(boxes)):
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
