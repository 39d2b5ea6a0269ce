"""Golden outputs of which only a sample and three figures are kept."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from runtime_check.artifact.tensors import SampledData
from runtime_check.comparison import Tolerance, compare
from runtime_check.metrics import CLASSES, VALUES, Metric
from runtime_check.vectors import compare_golden, places_of

# 7 x 13 values, of which every 10th is held from the 4th on: nine of them.
HELD = (3, 13, 23, 33, 43, 53, 63, 73, 83)
# From -45 to 45, whose mean is 0; the smallest and the largest are not held.
VALUES_7_13 = (np.arange(91, dtype=np.float32) - 45).reshape(7, 13)
SAMPLED = SampledData.sampled(VALUES_7_13, 10, seed=3)
BOUND = Tolerance(atol=0.25)


def off(by: float, *places: int) -> np.ndarray:
    """The values, off at these places of theirs in a row."""
    found = VALUES_7_13.copy()
    found.reshape(-1)[list(places)] += np.float32(by)
    return found


def test_what_is_held_is_what_the_other_tests_take_it_for() -> None:
    assert SAMPLED.array().tolist() == [place - 45.0 for place in HELD]
    assert (SAMPLED.minimum, SAMPLED.maximum, SAMPLED.mean) == (-45.0, 45.0, 0.0)


UNHELD = [place for place in range(91) if place not in (*HELD, 0, 90)]
assert len(UNHELD) == 80


@pytest.mark.parametrize(
    ("actual", "passes", "largest"),
    [
        (VALUES_7_13, True, 0.0),
        (VALUES_7_13 + np.float32(0.25), True, 0.25),
        (VALUES_7_13 + np.float32(0.375), False, 0.375),
        # One value that is held, the first, the last and one between.
        (off(0.5, 3), False, 0.5),
        (off(-0.5, 43), False, 0.5),
        (off(0.5, 83), False, 0.5),
        # One that is not: its neighbors in the row and in the column, and the mean by 2.5 of 91.
        (off(2.5, 4), True, 2.5 / 91),
        (off(2.5, 16), True, 2.5 / 91),
        # The smallest and the largest value, of which the mean says nothing.
        (off(-0.5, 0), False, 0.5),
        (off(0.5, 90), False, 0.5),
        (off(-0.25, 0), True, 0.25),
        # Only the mean: 80 values are off by a little, the mean by 80 of 91 of that.
        (off(0.375, *UNHELD), False, 0.375 * 80 / 91),
        (off(-0.375, *UNHELD), False, 0.375 * 80 / 91),
        (off(0.25, *UNHELD), True, 0.25 * 80 / 91),
    ],
)
def test_values_at_their_places_and_the_figures_of_all_are_compared(
    actual: np.ndarray, passes: bool, largest: float
) -> None:
    found = compare_golden([SAMPLED], [actual], BOUND, VALUES)
    assert (bool(found), found.problem) == (passes, "" if passes else "values")
    assert found.max_abs == pytest.approx(largest)
    assert found.elements == 9 + 3


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_one_value_that_is_not_finite_is_seen_where_no_value_is_held(odd: float) -> None:
    """It moves the mean of the others by next to nothing."""
    actual = off(0, 4)
    actual.reshape(-1)[44] = odd
    loose = Tolerance(atol=1e3)
    found = compare_golden([SAMPLED], [actual], loose, VALUES)
    assert (bool(found), found.problem) == (False, "nonfinite")
    assert "output 0: 1 of all its values are NaN or infinite, 0 expected" in str(found)
    # Where they are expected they have to come, as many of them.
    golden = SampledData.sampled(actual, 10, seed=3)
    assert compare_golden([golden], [actual], loose, VALUES)
    assert compare_golden([golden], [VALUES_7_13], loose, VALUES).problem == "nonfinite"
    whole = SampledData.of(VALUES_7_13)
    both = compare_golden([whole, SAMPLED], [VALUES_7_13, actual], loose, VALUES)
    assert "output 1" in str(both)


def test_a_share_of_the_expected_value_is_allowed_of_figures_too() -> None:
    relative = Tolerance(rtol=0.01)
    # 0.45 of 45 and of -45; of a mean of 0 nothing.
    assert compare_golden([SAMPLED], [VALUES_7_13 * np.float32(1.0078125)], relative, VALUES)
    assert not compare_golden([SAMPLED], [VALUES_7_13 * np.float32(1.015625)], relative, VALUES)
    assert not compare_golden([SAMPLED], [off(0.25, 4)], relative, VALUES)


@pytest.mark.parametrize(
    ("actual", "problem"),
    [
        ([VALUES_7_13.T.copy()], "shape"),
        ([VALUES_7_13.reshape(-1)], "shape"),
        ([VALUES_7_13[None]], "shape"),
        ([VALUES_7_13[:6]], "shape"),
        ([VALUES_7_13.astype(np.float64)], "dtype"),
        ([VALUES_7_13.astype(np.int64)], "dtype"),
        ([], "count"),
        ([VALUES_7_13, VALUES_7_13], "count"),
    ],
)
def test_another_kind_of_output_is_not_compared(actual: list[np.ndarray], problem: str) -> None:
    found = compare_golden([SAMPLED], actual, Tolerance(atol=1e9), VALUES)
    assert (found.problem, found.elements, found.max_abs) == (problem, 0, None)


def test_what_is_no_number_has_to_be_expected() -> None:
    wide = Tolerance(atol=1e9)
    broken = off(np.nan, 13)
    assert compare_golden([SAMPLED], [broken], wide, VALUES).problem == "nonfinite"
    assert compare_golden([SAMPLED], [off(np.inf, 13)], wide, VALUES).problem == "nonfinite"
    nothing = np.full((7, 13), np.nan, np.float32)
    assert compare_golden([SAMPLED], [nothing], wide, VALUES).problem == "nonfinite"
    # Where it is expected, the figures are those of the others.
    expected = SampledData.sampled(broken, 10, seed=3)
    assert compare_golden([expected], [broken.copy()], Tolerance(), VALUES)
    assert expected.mean == pytest.approx((0.0 - (13 - 45)) / 90)
    assert compare_golden([expected], [VALUES_7_13], wide, VALUES).problem == "nonfinite"
    # Nothing but NaN has no figures.
    empty = SampledData.sampled(nothing, 10, seed=3)
    found = compare_golden([empty], [nothing], Tolerance(), VALUES)
    assert (bool(found), found.elements) == (True, 9)
    assert not compare_golden([empty], [VALUES_7_13], wide, VALUES)


def test_what_is_held_whole_is_compared_by_the_tasks_metric() -> None:
    expected, actual = np.float32([[1.0, 2.0, 3.0]]), np.float32([[1.0, 3.0, 2.0]])
    golden = [SampledData.of(expected)]
    found = compare_golden(golden, [actual], Tolerance(atol=1.0), CLASSES)
    assert found == compare([expected], [actual], Tolerance(atol=1.0), CLASSES)
    assert (found.top1, found.elements) == (0.0, 3)
    # Of a sample nobody knows the best class.
    twice = Metric(kind="classes", outputs=2)
    both = compare_golden([*golden, SAMPLED], [actual, VALUES_7_13], Tolerance(atol=1.0), twice)
    assert (bool(both), both.top1, both.elements) == (True, None, 3 + 12)


@pytest.mark.parametrize(
    ("first", "second", "passes"), [(0.0, 1.0, True), (0.5, 0.0, False), (0.0, 3.0, False)]
)
def test_each_output_has_a_bound_of_its_own(first: float, second: float, passes: bool) -> None:
    bound = Tolerance(atol=2.0, outputs=(0.25, 2.0))
    row = np.float32([[1.0, 2.0]])
    for one, other, golden in (
        (off(first, 13), row + np.float32(second), [SAMPLED, SampledData.of(row)]),
        (row + np.float32(first), off(second, 13), [SampledData.of(row), SAMPLED]),
    ):
        metric = Metric(kind="none", outputs=2)
        # Of one call, and of two calls in a row.
        assert bool(compare_golden(golden, [one, other], bound, metric)) is passes
        right = [VALUES_7_13 if not g.is_whole else row for g in golden]
        twice = [*right, one, other]
        assert bool(compare_golden(golden * 2, twice, bound, metric)) is passes


# --- class maps -----------------------------------------------------------------------------------

# 71 x 113 pixels, every 10th of which is held: 803 of 8023. Classes 0 to 4.
MAP = (np.arange(71 * 113) // 113 % 5).astype(np.uint8).reshape(71, 113)
MAPPED = SampledData.sampled(MAP, 803)
ON_SAMPLE = np.arange(0, 8023, MAPPED.stride)
OFF_SAMPLE = np.setdiff1d(np.arange(8023), ON_SAMPLE)


def turned(*places: int) -> np.ndarray:
    """The map, with the next class at these places."""
    found = MAP.copy()
    flat = found.reshape(-1)
    flat[list(places)] = (flat[list(places)] + 1) % 5
    return found


def test_a_sampled_map_is_the_same_where_nothing_may_flip() -> None:
    assert MAPPED.stride == 10
    assert compare_golden([MAPPED], [MAP], Tolerance(), VALUES)
    for place in (ON_SAMPLE[0], ON_SAMPLE[-1], OFF_SAMPLE[5]):
        assert not compare_golden([MAPPED], [turned(place)], Tolerance(), VALUES)
    # Two that change places leave every figure as it is.
    swapped = MAP.copy()
    flat = swapped.reshape(-1)
    one, other = ON_SAMPLE[0], ON_SAMPLE[200]
    assert flat[one] != flat[other]
    flat[[one, other]] = flat[[other, one]]
    assert not compare_golden([MAPPED], [swapped], Tolerance(), VALUES)


@pytest.mark.parametrize(
    ("flips", "flipped", "passes"),
    [
        (0.01, 8, True),  # of 803
        (0.01, 9, False),
        (0.0001, 2, True),  # of a small share two, as a whole map has them
        (0.0001, 3, False),
        (1.0, 803, True),
    ],
)
def test_as_many_of_the_held_pixels_may_flip_as_of_all(
    flips: float, flipped: int, passes: bool
) -> None:
    places = ON_SAMPLE[:flipped]
    others = OFF_SAMPLE[: int(9 * flips * 800)]  # as many of the others, so that the mean fits
    bound = Tolerance(flips=flips)
    found = compare_golden([MAPPED], [turned(*places)], bound, VALUES)
    assert (bool(found), found.elements) == (passes, 803)
    assert bool(compare_golden([MAPPED], [turned(*places, *others)], bound, VALUES)) is passes


def test_the_mean_of_a_map_moves_no_further_than_its_flips_can() -> None:
    """Where 1% may flip, by 4 classes at most: 0.04. A half of the others by one: 0.45."""
    bound = Tolerance(flips=0.01)
    zeros = OFF_SAMPLE[MAP.reshape(-1)[OFF_SAMPLE] < 4]
    found = compare_golden([MAPPED], [turned(*zeros[: len(zeros) // 2])], bound, VALUES)
    assert (bool(found), found.problem) == (False, "values")
    assert found.tolerance.atol == pytest.approx(0.04)
    few = zeros[: int(0.039 * 8023)]
    assert compare_golden([MAPPED], [turned(*few)], bound, VALUES)
    # Each of several maps is held to its own classes, and floats to all of their values.
    two_classes = SampledData.sampled(MAP // 4, 803)
    swapped = 1 - (MAP // 4)
    both = [MAP, MAP // 4]
    assert compare_golden([MAPPED, two_classes], both, bound, VALUES)
    off_sample = both[1].copy()
    off_sample.reshape(-1)[OFF_SAMPLE[:160]] = swapped.reshape(-1)[OFF_SAMPLE[:160]]
    wrong = compare_golden([MAPPED, two_classes], [MAP, off_sample], bound, VALUES)
    assert (bool(wrong), wrong.elements) == (False, 2)
    assert wrong.tolerance == Tolerance(atol=0.04, outputs=(0.04, 0.01))
    assert not compare_golden([MAPPED, SAMPLED], [MAP, off(0.5, 13)], bound, VALUES)
    assert compare_golden([MAPPED, SAMPLED], [turned(0), VALUES_7_13], bound, VALUES)


def test_how_far_a_mean_may_move_is_told_by_the_classes_of_both_sides() -> None:
    """Classes 3 to 7 on one side and 1 to 9 on the other: 1% of 8."""
    narrow, many = MAP + np.uint8(3), OFF_SAMPLE[: len(OFF_SAMPLE) // 2]
    wide = narrow.copy()
    wide.reshape(-1)[OFF_SAMPLE[:2]] = (1, 9)
    moved = wide.copy()
    moved.reshape(-1)[many[2:]] = 7
    found = compare_golden(
        [SampledData.sampled(narrow, 803)], [moved], Tolerance(flips=0.01), VALUES
    )
    assert not found
    assert found.tolerance.atol == pytest.approx(0.08)
    back = narrow.copy()
    back.reshape(-1)[many] = 7
    found = compare_golden([SampledData.sampled(wide, 803)], [back], Tolerance(flips=0.01), VALUES)
    assert not found
    assert found.tolerance.atol == pytest.approx(0.08)


def test_floats_do_not_flip_beside_a_map_nor_alone() -> None:
    bound = Tolerance(flips=0.01)
    for smallest_off in (off(-0.5, 0), off(0.5, 90), off(0.5, 13)):
        assert not compare_golden([SAMPLED], [smallest_off], bound, VALUES)
        assert not compare_golden([MAPPED, SAMPLED], [MAP, smallest_off], bound, VALUES)
    # Of a sample of one value two may flip, which is all of them and no more.
    one = SampledData.sampled(np.arange(3), 1)
    assert one.array().tolist() == [0]
    assert compare_golden([one, SAMPLED], [np.arange(3), VALUES_7_13], bound, VALUES)
    assert not compare_golden([one, SAMPLED], [np.arange(3), off(0.5, 13)], bound, VALUES)


def test_of_values_and_mean_the_values_are_shown() -> None:
    found = compare_golden([MAPPED], [4 - MAP], Tolerance(flips=0.01), VALUES)
    assert (bool(found), found.elements) == (False, 803)


def test_a_whole_map_beside_a_sampled_output_may_flip_too() -> None:
    small = np.int64([[0, 1, 2, 3]])
    golden = [SampledData.of(small), SAMPLED]
    other = np.int64([[0, 1, 2, 300]])
    for flips, passes in ((0.25, True), (0.2, False), (0.0, False)):
        bound = Tolerance(flips=flips)
        assert bool(compare_golden(golden, [other, VALUES_7_13], bound, VALUES)) is passes


def test_a_map_without_figures_fails() -> None:
    forged = MAPPED.model_copy(update={"minimum": None, "maximum": None, "mean": None})
    assert not compare_golden([forged], [MAP], Tolerance(flips=0.01), VALUES)


def test_the_places_of_an_output_are_the_held_ones_where_it_has_them() -> None:
    whole = SampledData.of(VALUES_7_13)
    found = places_of([SAMPLED, whole], [VALUES_7_13, VALUES_7_13])
    assert found[0].tolist() == SAMPLED.array().tolist()
    assert found[1].tolist() == VALUES_7_13.tolist()
    turned_over = VALUES_7_13.T
    assert places_of([SAMPLED], [turned_over])[0].shape == turned_over.shape
    assert [array.shape for array in places_of([SAMPLED], [VALUES_7_13] * 2)] == [(9,)]
    assert places_of([SAMPLED], []) == []


def test_infinite_demands_are_met_by_whatever_is_finite() -> None:
    assert compare_golden([SAMPLED], [off(100.0, 13)], Tolerance(atol=math.inf), VALUES)
    steps = replace(BOUND, atol=math.inf, max_steps=2.0, step=0.25)
    assert compare_golden([SAMPLED], [off(0.5, 13)], steps, VALUES)
    assert not compare_golden([SAMPLED], [off(0.75, 13)], steps, VALUES)
