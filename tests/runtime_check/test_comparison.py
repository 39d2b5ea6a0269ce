from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runtime_check import ParityError, Tolerance, assert_parity, compare
from runtime_check.artifact.metadata import Golden, ToleranceSpec
from runtime_check.differences import sqnr_db
from runtime_check.metrics import topk_agreement

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
    assert not compare(expected, -actual, Tolerance(atol=math.inf, min_agreement=1.0))
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


def test_every_figure_by_hand() -> None:
    expected = np.array([[1, 2, -4], [8, 16, 32]], np.float32)
    actual = np.array([[1, 2.5, -5], [8, 18, 32]], np.float32)
    found = compare(expected, actual, Tolerance(atol=2, step=0.5))
    assert found
    assert (found.problem, found.detail, found.passing) == ("", "", None)
    # Apart by 0, 0.5, 1, 0, 2, 0; the 99th percentile is 95 % of the way from 1 to 2.
    assert (found.elements, found.max_abs, found.steps) == (6, 2.0, 4.0)
    assert found.mean_abs == pytest.approx(3.5 / 6)
    assert found.p99_abs == pytest.approx(1.95)
    assert found.max_rel == pytest.approx(0.25)  # 0.5 of 2, and 1 of 4
    # (1 + 4 + 16 + 64 + 256 + 1024) / (0.25 + 1 + 4) = 260
    assert found.sqnr_db == pytest.approx(24.14973348)
    assert (found.worst, found.worst_expected, found.worst_actual) == ((1, 1), 16.0, 18.0)
    assert (found.top1, found.top5) == (1.0, None)  # three classes have no best five


def test_a_small_difference_of_a_small_signal() -> None:
    assert sqnr_db(np.array([0.5]), np.array([0.4])) == pytest.approx(13.97940009)
    # Below the smallest normal float32, 2**-126, a difference counts as a share of that.
    zero, tiny = np.zeros(1, np.float32), np.full(1, 2**-126, np.float32)
    assert compare(zero, tiny, Tolerance(atol=1)).max_rel == 1.0


def test_ranks_by_hand() -> None:
    best_same = np.array([[3.0, 1.0, 2.0]]), np.array([[3.0, 2.0, 1.0]])
    assert topk_agreement(*best_same, 1) == 1
    assert topk_agreement(*best_same, 2) == 0.5
    # The best five of the first are 0 to 4, of the second 0 to 3 and 5.
    seven = np.array([[[7, 6, 5, 4, 3, 2, 1], [7, 6, 5, 4, 3, 2, 1]]], np.float32)
    other = np.array([[[7, 6, 5, 4, 2, 3, 1], [7, 6, 5, 4, 3, 2, 1]]], np.float32)
    assert topk_agreement(seven, other, 5) == pytest.approx(0.9)
    assert compare(seven, other, Tolerance(atol=1)).top5 == pytest.approx(0.9)
    two = np.array([0.0, 1.0])
    assert topk_agreement(two, two, 1) == 1
    assert topk_agreement(np.array(1.0), np.array(1.0), 1) is None
    assert topk_agreement(np.zeros((0, 3)), np.zeros((0, 3)), 1) is None
    # Ties go to the first class on both sides.
    ties, last_worse = np.zeros(100), np.append(np.zeros(99), -1.0)
    assert topk_agreement(ties, last_worse, 1) == 1


def test_values_that_are_not_finite_have_no_distance_and_no_rank() -> None:
    nothing = np.full(3, np.nan, np.float32)
    found = compare(nothing, nothing, Tolerance())
    assert found
    assert (found.elements, found.max_abs, found.sqnr_db, found.worst) == (3, None, None, (0,))
    after = compare(np.float32([np.nan, 1, 2]), np.float32([np.nan, 1, 5]), Tolerance(atol=3))
    assert after
    assert (after.max_abs, after.worst, after.worst_actual) == (3.0, (2,), 5.0)
    one_side = compare(np.float32([np.nan, 1, 2]), np.float32([0, 1, 2]), Tolerance(atol=9))
    assert (one_side.problem, one_side.top1, one_side.passing) == ("nonfinite", None, None)
    words = "1 values are NaN or infinite on one side only (first: expected nan, got 0)"
    assert one_side.detail == words


def test_the_worst_of_several_outputs_is_counted_through_all_of_them() -> None:
    zeros, moved = np.zeros((2, 2), np.float32), np.float32([[0, 0], [0, 1]])
    found = compare([zeros, zeros], [zeros, moved], Tolerance(atol=1))
    assert found
    assert (found.worst, found.elements) == ((7,), 8)
    assert compare([zeros], [moved], Tolerance(atol=1)).worst == (1, 1)


def test_a_comparison_that_could_not_be_made_has_no_figures() -> None:
    ones, tolerance = np.ones((2, 3), np.float32), Tolerance(atol=9)
    for other in (np.ones((3, 2), np.float32), np.ones((2, 3)), [ones, ones], ones[:0]):
        found = compare(ones if len(other) else ones[:0], other, tolerance)
        assert not found
        assert found.tolerance is tolerance
        figures = dict(vars(found))
        for known in ("tolerance", "problem", "detail"):
            del figures[known]
        assert figures.pop("elements") == 0
        assert figures.pop("worst") == ()
        assert set(figures.values()) == {None}


def test_the_tolerance_that_a_file_states() -> None:
    spec = ToleranceSpec(atol=0.5, rtol=0.25, basis="by hand", step=0.125)
    assert Tolerance.of(spec) == Tolerance(atol=0.5, rtol=0.25, step=0.125)
    assert Tolerance.of(Golden.model_construct(tolerance=spec)) == Tolerance.of(spec)


@pytest.mark.parametrize(
    ("actual", "holds"),
    [(-10.75, True), (-9.25, True), (-10.875, False), (-9.125, False)],
)
def test_a_value_may_be_off_by_atol_and_a_share_of_the_expected_one(
    actual: float, holds: bool
) -> None:
    bound = Tolerance(atol=0.125, rtol=0.0625)  # of -10: 0.125 + 0.625 = 0.75
    found = compare(np.float32([0, -10]), np.float32([0.125, actual]), bound)
    assert bool(found) == holds
    assert found.problem == ("" if holds else "values")
    if not holds:
        assert found.detail.startswith("1 values are outside atol 0.125, rtol 0.0625; a tolerance")
        # 0.875 - 0.625, and a little for rounding; the other value needs 0.125.
        assert found.passing is not None
        assert found.passing.atol == pytest.approx(0.25, rel=2e-6)
        assert found.passing.atol > 0.25
        assert found.passing.rtol == 0.0625


@pytest.mark.parametrize(
    ("demand", "holds"),
    [
        ({"max_steps": 4.0, "step": 0.25}, True),
        ({"max_steps": 3.9, "step": 0.25}, False),
        ({"min_sqnr_db": 20.0}, True),  # 100 / 1
        ({"min_sqnr_db": 20.1}, False),
        ({"min_agreement": 0.5}, True),
        ({"min_agreement": 0.6}, False),
        ({"min_agreement": 0.6, "step": 0.25}, False),
    ],
)
def test_each_demand_is_met_up_to_its_bound(demand: dict[str, float], holds: bool) -> None:
    expected = np.float32([[0, 6], [8, 0]])
    actual = np.float32([[0, 6], [8, 1]])
    if "min_agreement" in demand:
        actual = np.float32([[0, 6], [0, 8]])
    found = compare(expected, actual, Tolerance(atol=math.inf, **demand))
    assert bool(found) == holds
    assert found.problem == ("" if holds else "values")
    if not holds:
        assert len(found.detail.split("; ")) == 2
        assert "demanded" in found.detail or "allowed" in found.detail
        assert found.passing is not None
        assert compare(expected, actual, found.passing)
        needed = {
            "max_steps": found.steps,
            "min_sqnr_db": found.sqnr_db,
            "min_agreement": found.top1,
        }
        for name, figure in needed.items():
            stated = getattr(found.passing, name)
            assert stated == (figure if name in demand else None)
        assert found.passing.step == demand.get("step")


def test_a_demand_that_cannot_be_measured_is_not_met() -> None:
    silent, noise = np.zeros((1, 2), np.float32), np.full((1, 2), 0.5, np.float32)
    loud = compare(silent, noise, Tolerance(atol=math.inf, min_sqnr_db=3))
    assert (loud.problem, loud.sqnr_db) == ("values", None)
    assert loud.detail.startswith("no SQNR, at least 3.0 dB demanded")
    unknown = compare(silent, noise, Tolerance(atol=math.inf, max_steps=9))
    assert (unknown.problem, unknown.steps) == ("values", None)
    assert unknown.detail.startswith("steps of unknown size, at most 9 allowed")
    single = np.ones((3, 1), np.float32)
    ranked = compare(single, single, Tolerance(min_agreement=0.0))
    assert (ranked.problem, ranked.top1) == ("values", None)
    assert ranked.detail.startswith("nothing that could agree, at least 0.0% demanded")
    both = compare(silent, noise, Tolerance(atol=0.25, min_sqnr_db=3))
    assert both.detail.startswith("2 values are outside atol 0.25, rtol 0, SQNR >= 3.0 dB; no SQNR")


def test_a_demand_does_not_hide_that_a_value_is_no_number() -> None:
    expected, actual = np.float32([[1, 2]]), np.float32([[1, np.nan]])
    found = compare(expected, actual, Tolerance(atol=math.inf, min_agreement=1.0))
    assert found.problem == "nonfinite"
    assert "nothing that could agree" in found.detail
    assert "would have passed" not in found.detail


def test_assert_parity_returns_what_holds() -> None:
    ones = np.ones(2, np.float32)
    held = assert_parity(ones, ones + np.float32(0.5), Tolerance(atol=0.5))
    assert held.max_abs == 0.5
    with pytest.raises(ParityError, match=r"^2 values"):
        assert_parity(ones, ones + 1, Tolerance())
