"""Outputs that do not depend on the input are seen."""

from __future__ import annotations

import numpy as np

from runtime_check.properties.spread import Spread


def spread(*inputs: list[float], atol: float = 0.0) -> list[bool]:
    seen = Spread()
    for outputs in inputs:
        seen.add([np.float32([value]) for value in outputs], atol)
    return seen.constant()


def test_each_output_is_judged_for_itself() -> None:
    assert spread([1, 2], [1, 3], [1, 2]) == [True, False]


def test_one_input_tells_nothing_and_rounding_is_no_dependence() -> None:
    assert spread([1, 2]) == []
    assert spread([1.0], [1.001], atol=0.01) == [True]
    assert spread([1.0], [1.1], atol=0.01) == [False]


def test_the_smallest_tolerance_counts() -> None:
    seen = Spread()
    for value, atol in ((0.0, 100.0), (1.0, 0.1)):
        seen.add([np.float32([value])], atol)
    assert seen.constant() == [False]


def test_nan_is_no_dependence_and_another_shape_is() -> None:
    assert spread([np.nan], [np.nan]) == [True]
    assert spread([np.inf], [np.inf]) == [True]
    seen = Spread()
    for count in (1, 2):
        seen.add([np.zeros(count)], 0.0)
    assert seen.constant() == []


def test_one_value_that_moves_is_dependence_enough() -> None:
    seen = Spread()
    for last in (3.0, 4.0):
        seen.add([np.float32([1.0, 2.0, last])], 0.5)
    assert seen.constant() == [False]


def test_each_output_has_a_rounding_of_its_own() -> None:
    def constant(*given: tuple[float, float, float, float]) -> list[bool]:
        seen = Spread()
        for one, other, *atols in given:
            seen.add([np.float32([one]), np.float32([other])], *atols)
        return seen.constant()

    # Off by 1 each: what is rounding in one output is none in the other.
    assert constant((0, 0, 2.0, 0.5), (1, 1, 2.0, 0.5)) == [True, False]
    assert constant((0, 0, 0.5, 2.0), (1, 1, 0.5, 2.0)) == [False, True]
    # Of each the smallest, whichever input it was of.
    assert constant((0, 0, 2.0, 0.5), (1, 1, 0.5, 2.0)) == [False, False]
    assert constant((0, 0, 2.0, 2.0), (1, 1, 2.0, 0.5), (0, 0, 2.0, 2.0)) == [True, False]


def test_one_tolerance_is_for_all_outputs() -> None:
    seen = Spread()
    for value in (0.0, 1.0):
        seen.add([np.float32([value]), np.float32([3 * value])], 2.0)
    assert seen.constant() == [True, False]
