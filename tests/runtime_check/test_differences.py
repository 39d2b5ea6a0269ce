"""One pass over blocks finds what whole-array arithmetic finds."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runtime_check import differences as room
from runtime_check import metrics
from runtime_check.comparison import Tolerance, compare
from runtime_check.differences import Bound, Top, differences, largest_distance
from runtime_check.metrics import Metric

PAIRS = hnp.arrays(
    np.float64,
    st.tuples(st.just(2), st.integers(1, 60)),
    elements=st.sampled_from([0.0, -0.5, 1.0, 3.25, 1e3, math.nan, math.inf, -math.inf]),
)


@given(PAIRS, st.sampled_from([0.0, 0.5, 4.0]), st.sampled_from([0.0, 0.25]))
def test_blocks_find_what_the_whole_holds(pair: np.ndarray, atol: float, rtol: float) -> None:
    """Against plain NumPy on the whole arrays, in blocks of seven values."""
    one, other = pair
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "_BLOCK", 7)
        top = Top(one.size, 0.99)
        found = differences(one, other, Bound(atol, rtol), top)
    finite = np.isfinite(one) & np.isfinite(other)
    left, apart = one[finite], np.abs(one[finite] - other[finite])
    assert found.finite == finite.sum()
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    assert found.unlike == (~finite & ~same).sum()
    assert found.over == (apart > atol + rtol * np.abs(left)).sum()
    assert found.signal == pytest.approx((left**2).sum())
    assert found.noise == pytest.approx((apart**2).sum())
    assert found.total == pytest.approx(apart.sum())
    if apart.size:
        assert found.largest == apart.max()
        assert found.worst == np.flatnonzero(finite)[apart.argmax()]
        assert top.quantile(apart.size) == pytest.approx(np.quantile(apart, 0.99))
        assert found.relative == (apart / np.maximum(np.abs(left), room._TINY)).max()
        assert found.needed == pytest.approx((apart - rtol * np.abs(left)).max())


def test_the_quantile_of_many_is_numpys_to_the_last_digit() -> None:
    """More than the largest percent held: what was dropped on the way was not among them."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=300_000).astype(np.float32)
    second = first + rng.normal(size=300_000).astype(np.float32) ** 3
    top = Top(600_000, 0.99)
    for left, right in ((first, second), (second, second)):
        differences(left, right, Bound(0.0, 0.0), top)
    apart = np.abs(first.astype(np.float64) - second)
    assert top.quantile(600_000) == np.quantile([*apart, *np.zeros(300_000)], 0.99)


def test_squares_that_overflow_do_not_hide_the_distance() -> None:
    one, other = np.array([1e200, 1.0]), np.array([1e200, 3.0])
    found = differences(one, other, Bound(1.0, 0.0), Top(2, 0.99))
    assert (found.largest, found.over, found.finite, found.unlike) == (2.0, 1, 2, 0)


@given(PAIRS)
def test_the_largest_distance_is_that_of_the_whole(pair: np.ndarray) -> None:
    one, other = pair
    with pytest.MonkeyPatch.context() as patch, np.errstate(invalid="ignore"):
        patch.setattr(room, "_BLOCK", 7)
        wanted = np.abs(one - other).max()
        np.testing.assert_equal(largest_distance(one, other), wanted)


def test_the_largest_distance_of_whole_numbers_does_not_wrap_around() -> None:
    one, other = np.array([[0, 255]], np.uint8), np.array([[1, 0]], np.uint8)
    assert largest_distance(one, other) == 255
    assert largest_distance(one[:, :0], other[:, :0]) == 0


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=1, max_dims=5, max_side=4),
        elements=st.sampled_from([0.0, -0.0, 1.0, -2.5, math.nan, math.inf, -math.inf]),
    ),
    st.data(),
)
def test_the_best_class_is_numpys_in_blocks(scores: np.ndarray, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-scores.ndim, -1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_PIXELS", 3)
        np.testing.assert_array_equal(metrics._best(scores, axis), np.argmax(scores, axis=axis))


def test_comparing_large_maps_takes_little_memory() -> None:
    """New memory costs more than arithmetic, so no map is ever copied as a whole."""
    rng = np.random.default_rng(0)
    one = rng.normal(size=(1, 21, 360, 360)).astype(np.float32)
    other = one + rng.normal(size=one.shape).astype(np.float32) * 1e-6
    tracemalloc.start()
    try:
        compare([one], [other], Tolerance(atol=1.0), Metric(kind="pixels", axis=-3))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 0.75 * one.nbytes
