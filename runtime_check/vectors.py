"""Compare outputs with golden ones, of which large ones are kept as samples and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .artifact.tensors import Figures, SampledData
from .comparison import Comparison, Tolerance, compare, unlike
from .metrics import Metric


def compare_golden(
    expected: Sequence[SampledData],
    actual: Sequence[np.ndarray],
    tolerance: Tolerance,
    metric: Metric,
) -> Comparison:
    """Compare one call's outputs with what golden vectors hold of them, and judge by `tolerance`.

    Of a sampled output the values at its places are compared, its smallest, largest and mean value,
    and how many are not finite: what is wrong elsewhere shows in those. Where classes may flip, two
    of those that are held may always, the mean may move as far as the stated share of them does,
    and the smallest and largest are not compared. `GoldenCheck.swift` and `Compare.kt` have the
    same rule.
    """
    if all(golden.is_whole for golden in expected):
        return compare([golden.array() for golden in expected], actual, tolerance, metric)
    told = unlike(
        [(tuple(golden.shape), np.dtype(golden.dtype)) for golden in expected],
        [(array.shape, array.dtype) for array in actual],
        Tolerance(),
    )
    if told is not None:
        return told  # another count, shape or dtype
    pairs = [*zip(expected, actual, strict=True)]
    figures = [Figures() if golden.is_whole else Figures.of(array) for golden, array in pairs]
    held = [_held(golden, golden.array(), _stated(golden), tolerance) for golden in expected]
    came = [
        _held(golden, golden.of_same_places(array), _as_stated(golden, found), tolerance)
        for (golden, array), found in zip(pairs, figures, strict=True)
    ]
    loose = [p for p in zip(expected, figures, strict=True) if _may_flip(p[0], tolerance)]
    # Two values, whatever the sample: a share of a map may be less than one value of a sample.
    shares = [
        max(tolerance.flips, 2 / max(1, g.array().size))
        if _may_flip(g, tolerance)
        else tolerance.flips
        for g in expected
    ]
    wide = replace(tolerance, shares=tuple(shares), flips=min(1.0, max(shares)))
    values = compare(held, came, wide, _unmeasured(metric))
    stray = _stray(expected, figures)
    if stray and values.problem != "nonfinite":
        return replace(values, problem="nonfinite", detail=stray, passing=None)
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
    pairs: Sequence[tuple[SampledData, Figures]], tolerance: Tolerance, metric: Metric
) -> Comparison:
    """Compare the means of maps: where a share of classes flips, each moves by the span at most."""
    stated = [_stated(golden) for golden, _ in pairs]
    if any(len(one) != 3 for one in stated):
        return compare([], [], tolerance, _unmeasured(metric))  # nothing says where the rest is
    figures = [_as_stated(golden, found) for golden, found in pairs]
    spans = [
        max(one[1], other[1]) - min(one[0], other[0])
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


def _as_stated(golden: SampledData, found: Figures) -> np.ndarray:
    """Return those figures that `golden` states; NaN where nothing was finite."""
    pairs = (
        (found.minimum, golden.minimum),
        (found.maximum, golden.maximum),
        (found.mean, golden.mean),
    )
    return np.array(
        [np.nan if value is None else value for value, stated in pairs if stated is not None],
        np.float64,
    )


def _stray(expected: Sequence[SampledData], figures: Sequence[Figures]) -> str:
    """Say where sampled outputs hold NaN or infinities that are not expected, or lack them."""
    return "; ".join(
        f"output {index}: {found.nonfinite} of all its values are NaN or infinite, "
        f"{golden.nonfinite} expected"
        for index, (golden, found) in enumerate(zip(expected, figures, strict=True))
        if not golden.is_whole and golden.nonfinite != found.nonfinite
    )
