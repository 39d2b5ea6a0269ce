from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runtime_check import ParityError, Tolerance, assert_parity, compare
from runtime_check.comparison import sqnr_db, topk_agreement

FLOATS = hnp.arrays(
    np.float32,
    hnp.array_shapes(max_dims=3, max_side=5),
    elements=st.floats(-1e6, 1e6, width=32),
)


@given(FLOATS)
def test_equal_arrays_pass_with_no_tolerance_at_all(array: np.ndarray) -> None:
    comparison = compare(array, array.copy(), Tolerance())
    assert comparison
    assert comparison.max_abs == 0
    assert comparison.sqnr_db == math.inf


@given(FLOATS, st.floats(1e-3, 1e3), st.sampled_from([0.0, 1e-3]))
def test_the_tolerance_that_would_pass_passes(array: np.ndarray, size: float, rtol: float) -> None:
    other = (array + np.float32(size) * np.sign(array + 0.5)).astype(np.float32)
    comparison = compare(array, other, Tolerance(atol=1e-7, rtol=rtol))
    if comparison.passing is not None:
        assert compare(array, other, comparison.passing)
        assert str(comparison.passing) in str(comparison)


def test_shape_dtype_and_count_are_apart_from_values() -> None:
    ones = np.ones((2, 3), np.float32)
    assert compare(ones, np.ones((3, 2), np.float32), Tolerance(atol=9)).problem == "shape"
    assert compare(ones, np.ones((2, 3)), Tolerance(atol=9)).problem == "dtype"
    assert compare([ones], [ones, ones], Tolerance(atol=9)).problem == "count"
    assert compare(ones, ones + 1, Tolerance()).problem == "values"


@pytest.mark.parametrize("nothing", [[], [np.zeros((0, 3), np.float32)]])
def test_comparing_nothing_fails(nothing: list[np.ndarray]) -> None:
    assert compare(nothing, nothing, Tolerance(atol=1)).problem == "empty"


def test_nan_and_infinities_must_meet_their_own_kind() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
    assert compare(values, values.copy(), Tolerance())
    for other in ([0, np.inf, -np.inf, 1], [np.nan, -np.inf, -np.inf, 1], [np.nan, 1, 1, 1]):
        found = compare(values, np.array(other, np.float32), Tolerance(atol=1e9))
        assert found.problem == "nonfinite"


def test_int8_steps_and_further_demands() -> None:
    expected = np.array([[0.0, 1.0, 2.0]], np.float32)
    actual = expected + np.float32(0.25)
    steps = Tolerance(atol=math.inf, max_steps=2, step=0.1)
    found = compare(expected, actual, steps)
    assert found.steps == pytest.approx(2.5)
    assert not found
    assert "2.50 quantization steps" in str(found)
    assert compare(expected, actual, Tolerance(atol=math.inf, max_steps=3, step=0.1))
    assert not compare(expected, -actual, Tolerance(atol=math.inf, min_top1=1.0))
    assert not compare(expected, actual, Tolerance(atol=math.inf, min_sqnr_db=40))


def test_figures() -> None:
    assert sqnr_db(np.array([10.0]), np.array([9.0])) == pytest.approx(20)
    assert sqnr_db(np.zeros(2), np.ones(2)) is None
    rows = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    assert topk_agreement(rows, rows[:, ::-1], 1) == 0
    assert topk_agreement(rows, rows, 2) == 1
    assert topk_agreement(rows[:, :1], rows[:, :1], 1) is None


def test_assert_parity_raises_with_the_figures() -> None:
    with pytest.raises(ParityError, match=r"head: 1 values, max\|d\| 1: .*would have passed"):
        assert_parity(np.zeros(1), np.ones(1), Tolerance(atol=0.5), what="head")


def test_the_best_of_unsigned_numbers_is_the_largest() -> None:
    assert topk_agreement(np.array([[0, 255, 3]], np.uint8), np.array([[0.0, 9.0, 3.0]]), 1) == 1
