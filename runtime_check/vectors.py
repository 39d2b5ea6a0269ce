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
    value: what is wrong elsewhere shows in those. Where classes may flip, the mean may move as far
    as that many of them do, and the smallest and largest are not compared.
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
    held = [_held(golden, golden.array(), _stated(golden), tolerance) for golden in expected]
    came = [
        _held(golden, golden.of_same_places(array), _figures(golden, array), tolerance)
        for golden, array in pairs
    ]
    loose = [pair for pair in pairs if _may_flip(pair[0], tolerance)]
    # Two values, whatever the sample: a share of a map may be less than one value of a sample.
    flips = [2 / max(1, golden.array().size) for golden, _ in loose]
    wide = replace(tolerance, flips=min(1.0, max([tolerance.flips, *flips])))
    values = compare(held, came, wide, _unmeasured(metric))
    if not values or not loose:
        return values
    means = _compare_means(loose, tolerance, metric)
    return values if means else means


def places_of(expected: Sequence[SampledData], actual: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return what the golden vectors hold of outputs of the same shapes; all of other shapes."""
    return [
        golden.of_same_places(array) if list(array.shape) == golden.shape else array
        for golden, array in zip(expected, actual, strict=False)
    ]


def _unmeasured(metric: Metric) -> Metric:
    return replace(metric, kind="none")


def _may_flip(golden: SampledData, tolerance: Tolerance) -> bool:
    """Whether some of a sampled output's whole numbers may be others."""
    return bool(tolerance.flips) and not golden.is_whole and not golden.dtype.startswith("float")


def _held(
    golden: SampledData, values: np.ndarray, figures: np.ndarray, tolerance: Tolerance
) -> np.ndarray:
    """Return the values at the places that are held, with figures of all where they count."""
    if golden.is_whole or _may_flip(golden, tolerance):
        return values
    return np.concatenate([values.ravel().astype(np.float64), figures])


def _compare_means(
    pairs: Sequence[tuple[SampledData, np.ndarray]], tolerance: Tolerance, metric: Metric
) -> Comparison:
    """Compare the means of maps: where a share of classes flips, each moves by the span at most."""
    stated = [_stated(golden) for golden, _ in pairs]
    figures = [_figures(golden, array) for golden, array in pairs]
    spans = [
        max(one[1], other[1]) - min(one[0], other[0]) if len(one) == 3 else 0.0
        for one, other in zip(stated, figures, strict=True)
    ]
    atols = tuple(float(tolerance.flips * span) for span in spans)
    return compare(
        [one[2:] for one in stated],
        [other[2:] for other in figures],
        Tolerance(atol=max(atols), outputs=atols),
        _unmeasured(metric),
    )


def _stated(golden: SampledData) -> np.ndarray:
    stated = (golden.minimum, golden.maximum, golden.mean)
    return np.array([value for value in stated if value is not None], np.float64)


def _figures(golden: SampledData, array: np.ndarray) -> np.ndarray:
    """Return those figures of `array` that `golden` states; NaN where nothing in it is finite."""
    values = array.astype(np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        found = (np.nan, np.nan, np.nan)
    else:
        found = (float(values.min()), float(values.max()), float(values.mean()))
    stated = (golden.minimum, golden.maximum, golden.mean)
    return np.array([f for f, s in zip(found, stated, strict=True) if s is not None], np.float64)
