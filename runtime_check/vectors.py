"""Compare outputs with golden ones, of which large ones are kept as samples and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .artifact.tensors import SampledData
from .comparison import Comparison, Tolerance, compare
from .metrics import Metric


def compare_golden(
    expected: Sequence[SampledData],
    actual: Sequence[np.ndarray],
    tolerance: Tolerance,
    metric: Metric,
) -> Comparison:
    """Compare one call's outputs with what golden vectors hold of them, and judge by `tolerance`.

    Of a sampled output the values at its places are compared, and its smallest, largest and mean
    value: what is wrong elsewhere shows in those.
    """
    if all(golden.is_whole for golden in expected):
        return compare([golden.array() for golden in expected], actual, tolerance, metric)
    told = compare(
        [np.broadcast_to(np.zeros((), g.dtype), g.shape) for g in expected],
        [np.broadcast_to(np.zeros((), a.dtype), a.shape) for a in actual],
        Tolerance(),
        _unmeasured(metric),
    )
    if not told:
        return told  # another count, shape or dtype
    pairs = [*zip(expected, actual, strict=True)]
    one = [np.concatenate([g.array().ravel().astype(np.float64), _stated(g)]) for g in expected]
    other = [
        np.concatenate([g.of_same_places(a).ravel().astype(np.float64), _figures(g, a)])
        for g, a in pairs
    ]
    return compare(one, other, tolerance, _unmeasured(metric))


def places_of(expected: Sequence[SampledData], actual: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return what the golden vectors hold of outputs of the same shapes; all of other shapes."""
    return [
        golden.of_same_places(array) if list(array.shape) == golden.shape else array
        for golden, array in zip(expected, actual, strict=False)
    ]


def _unmeasured(metric: Metric) -> Metric:
    return replace(metric, kind="none")


def _stated(golden: SampledData) -> np.ndarray:
    if golden.is_whole:
        return np.zeros(0)
    stated = (golden.minimum, golden.maximum, golden.mean)
    return np.array([value for value in stated if value is not None], np.float64)


def _figures(golden: SampledData, array: np.ndarray) -> np.ndarray:
    """Return those figures of `array` that `golden` states; NaN where nothing in it is finite."""
    if golden.is_whole:
        return np.zeros(0)
    values = array.astype(np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        found = (np.nan, np.nan, np.nan)
    else:
        found = (float(values.min()), float(values.max()), float(values.mean()))
    stated = (golden.minimum, golden.maximum, golden.mean)
    return np.array([f for f, s in zip(found, stated, strict=True) if s is not None], np.float64)
