"""Bounds of each output, classes that may flip, and figures of each task."""

from __future__ import annotations

import math

import numpy as np
import pytest

from runtime_check import Tolerance, compare
from runtime_check.artifact.metadata import ToleranceSpec
from runtime_check.metrics import VALUES, Metric


def test_a_stated_bound_is_taken_over_with_all_it_says() -> None:
    spec = ToleranceSpec(atol=0.5, rtol=0.25, outputs=[0.125, 0.5], flips=0.01, basis="by hand")
    assert Tolerance.of(spec) == Tolerance(atol=0.5, rtol=0.25, outputs=(0.125, 0.5), flips=0.01)


@pytest.mark.parametrize(
    ("tolerance", "said"),
    [
        (Tolerance(atol=0.5, rtol=0.25), "atol 0.5, rtol 0.25"),
        (Tolerance(atol=9.0, outputs=(0.5, 2e-5)), "atol 0.5 / 2e-05 by output, rtol 0"),
        (Tolerance(outputs=(1.0,) * 8), f"atol {' / '.join('1' * 8)} by output, rtol 0"),
        (Tolerance(outputs=(1.0,) * 9), f"atol {' / '.join('1' * 8)} / ... by output, rtol 0"),
        (Tolerance(flips=0.0125), "atol 0, rtol 0, other classes on 1.25%"),
        (Tolerance(atol=math.inf), "nothing demanded"),
        (Tolerance(atol=math.inf, min_agreement=0.5), "agreement >= 50.0%"),
        (Tolerance(atol=math.inf, max_steps=2.0), "nothing demanded"),
        (Tolerance(atol=math.inf, max_steps=2.0, step=0.5), "2 steps of 0.5"),
    ],
)
def test_a_tolerance_is_said_in_words(tolerance: Tolerance, said: str) -> None:
    assert str(tolerance) == said


def two(first: float, second: float) -> list[np.ndarray]:
    return [np.float32([0.0, first]), np.float32([[1.0, 1.0 + second]])]


BY_OUTPUT = Tolerance(atol=8.0, outputs=(0.25, 8.0))


@pytest.mark.parametrize(
    ("first", "second", "outside"),
    [(0.25, 8.0, 0), (0.5, 0.0, 1), (0.0, 8.5, 1), (8.0, 0.25, 1), (0.5, 9.0, 2)],
)
def test_each_output_has_a_bound_of_its_own(first: float, second: float, outside: int) -> None:
    found = compare(two(0.0, 0.0), two(first, second), BY_OUTPUT)
    assert bool(found) is (outside == 0)
    assert found.max_abs == max(first, second)
    if outside:
        said = f"{outside} values are outside atol 0.25 / 8 by output, rtol 0; a tolerance of atol "
        assert found.detail.startswith(said)
    # Of several samples in a row, the second's outputs too.
    right = two(0.0, 0.0)
    for expected, actual in (
        (right + right, right + two(first, second)),
        (right + right, two(first, second) + right),
    ):
        assert bool(compare(expected, actual, BY_OUTPUT)) is (outside == 0)


def test_the_bounds_that_would_have_passed_are_each_outputs() -> None:
    expected, actual = two(0.0, 0.0), two(0.5, 1.0)
    found = compare(expected, actual, BY_OUTPUT)
    assert found.passing is not None
    # The one that was wide enough stays.
    assert found.passing.outputs == (pytest.approx(0.5, rel=2e-6), 8.0)
    assert found.passing.atol == 8.0
    assert compare(expected, actual, found.passing)
    worse = compare(expected + expected, actual + two(0.75, 9.0), BY_OUTPUT).passing
    assert worse is not None
    assert worse.outputs == pytest.approx((0.75, 9.0), rel=2e-6)
    assert worse.atol == pytest.approx(9.0, rel=2e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.bool_])
@pytest.mark.parametrize(("flips", "holds"), [(0.0, False), (0.2, False), (0.25, True)])
def test_of_whole_numbers_a_share_may_differ_by_anything(
    dtype: type, flips: float, holds: bool
) -> None:
    expected = np.array([[0, 1], [0, 1]]).astype(dtype)
    actual = expected.copy()
    actual[1, 0] = True if dtype is np.bool_ else 100
    found = compare(expected, actual, Tolerance(flips=flips))
    assert bool(found) is holds
    if not holds:
        assert found.passing is not None
        assert compare(expected, actual, found.passing)
        assert found.passing.flips == (0.25 if flips else 0.0)


def test_numbers_that_are_not_whole_do_not_flip() -> None:
    expected = np.zeros(4, np.float32)
    actual = np.float32([0, 0, 0, 1])
    assert not compare(expected, actual, Tolerance(flips=1.0))
    assert not compare(expected, np.float32([0, 0, 0, np.nan]), Tolerance(flips=1.0))
    # Beside a map that flips, scores are held to their own bound.
    classes, flipped = np.array([0, 1, 2, 3]), np.array([0, 1, 2, 0])
    bound = Tolerance(atol=0.5, flips=0.25)
    for scores, holds in ((np.float32([0, 0, 0, 0.5]), True), (actual, False)):
        assert bool(compare([classes, expected], [flipped, scores], bound)) is holds
        assert bool(compare([expected, classes], [scores, flipped], bound)) is holds
    found = compare([classes, expected], [np.array([0, 0, 0, 0]), actual], bound)
    assert found.passing is not None
    assert (found.passing.flips, found.passing.atol) == (0.75, pytest.approx(1.0))


def test_the_share_is_that_of_each_map() -> None:
    large, small = np.zeros(8, np.int64), np.zeros(2, np.int64)
    off = np.array([0, 1])
    assert not compare([large, small], [large, off], Tolerance(flips=0.4))
    assert compare([large, small], [large, off], Tolerance(flips=0.5))
    assert not compare([small, large, small], [small, large, off], Tolerance(flips=0.4))
    # What is off by no more than allowed has not flipped.
    assert compare(small, off, Tolerance(atol=1.0, flips=0.1))


def test_no_values_of_one_output_flip_no_others() -> None:
    nothing, classes = np.zeros((0, 4), np.int64), np.array([0, 1])
    assert compare([nothing, classes], [nothing, classes], Tolerance(flips=0.1))
    assert not compare([nothing, classes], [nothing, 1 - classes], Tolerance(flips=0.1))


def test_the_figures_are_the_metrics() -> None:
    ranks = np.array([[1.0, 2.0]]), np.array([[2.0, 1.0]])
    bound = Tolerance(atol=math.inf, min_agreement=0.9)
    assert compare(*ranks, Tolerance(atol=1.0), VALUES).agreement is None
    assert compare(*ranks, bound, VALUES).detail.startswith("nothing that could agree, at least")
    vectors = compare(*ranks, bound, Metric(kind="vectors"))
    assert (vectors.top1, vectors.cosine) == (None, pytest.approx(0.8))
    assert vectors.agreement == vectors.cosine
    assert "cosine 0.800000: agreement 80.0%, at least 90.0% demanded" in str(vectors)
    maps = compare(
        np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]), bound, Metric(kind="pixels", axis=0)
    )
    assert (maps.pixels, maps.agreement) == (0.75, 0.75)
    assert "pixels 75.0%, mIoU 58.3%" in str(maps)
    box = np.float32([[0, 0, 2, 2]])
    found = compare(box, box, bound, Metric(kind="boxes"))
    assert (found.boxes, bool(found)) == (1.0, True)
    assert "boxes 100.0%: within agreement >= 90.0%" in str(found)


def test_of_boxes_of_another_number_it_is_told_how_many_match() -> None:
    one = np.float32([[0, 0, 2, 2], [5, 5, 9, 9]])
    metric = Metric(kind="boxes", outputs=1, rows=(0,))
    strict = compare(one, one[:1], Tolerance(), metric)
    assert (strict.problem, strict.boxes) == ("shape", pytest.approx(2 / 3))
    assert (strict.max_abs, strict.sqnr_db) == (None, None)
    loose = Tolerance(atol=math.inf, min_agreement=0.6)
    found = compare([one, one], [one[:1], one], loose, metric)
    assert (bool(found), found.boxes, found.elements) == (True, pytest.approx(6 / 7), 16)
    assert not compare(one, one[:0], loose, metric)
    # Boxes have no signal-to-noise ratio where they need not be as many.
    demand = Tolerance(atol=math.inf, min_sqnr_db=3.0)
    assert "no SQNR" in compare(one, one, demand, metric).detail


def test_the_signal_to_noise_is_that_of_the_worst_output() -> None:
    """100 / 1 and 100 / 25 of the outputs of two samples; together it would be 200 / 26."""
    first, second = np.float32([6.0, 0.0]), np.float32([0.0, 6.0])
    expected = [first, second, np.float32([8.0, 0.0]), np.float32([0.0, 8.0])]
    actual = [np.float32([6.0, 1.0]), np.float32([3.0, 6.0]), expected[2], np.float32([4.0, 8.0])]
    each = compare(expected, actual, Tolerance(atol=9), Metric(kind="none", outputs=2))
    assert each.sqnr_db == pytest.approx(10 * math.log10(100 / 25))
    together = compare(expected, actual, Tolerance(atol=9), VALUES)
    assert together.sqnr_db == pytest.approx(10 * math.log10(200 / 26))
    # An output that is silent tells nothing of the others.
    zero = np.zeros(2, np.float32)
    silent = compare(
        [zero, first], [zero + 1, actual[0]], Tolerance(atol=9), Metric(kind="none", outputs=2)
    )
    assert silent.sqnr_db == pytest.approx(10 * math.log10(36))
    nan = np.float32([np.nan, 8.0])
    apart = compare(
        [nan, first], [nan, actual[0]], Tolerance(atol=9), Metric(kind="none", outputs=2)
    )
    assert apart.sqnr_db == pytest.approx(10 * math.log10(36))
