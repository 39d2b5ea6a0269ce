"""A saturated activation hides a difference from tolerances on probabilities, not from these."""

from __future__ import annotations

import numpy as np
import pytest

from runtime_check.comparison import Tolerance, compare
from runtime_check.properties.logits import compare_logits


def softmax(logits: list[float]) -> np.ndarray:
    values = np.exp(np.float64(logits) - max(logits))
    return (values / values.sum()).astype(np.float32)


def sigmoid(logits: list[float]) -> np.ndarray:
    return (1 / (1 + np.exp(-np.float64(logits)))).astype(np.float32)


def test_a_difference_that_a_softmax_hides_is_found() -> None:
    right, wrong = softmax([30, 0, 1, 2]), softmax([30, 2, 1, 0])
    assert compare(right, wrong, Tolerance(atol=1e-6))  # hidden
    found = compare_logits("softmax", right, wrong, atol=1e-4)
    assert not found.comparison
    assert found.telling
    assert found.comparison.max_abs == pytest.approx(2.0, abs=1e-3)
    assert compare_logits("softmax", right, softmax([30, 0, 1, 2.0001]), atol=1e-4).comparison


def test_a_difference_that_a_sigmoid_hides_is_found() -> None:
    found = compare_logits("sigmoid", sigmoid([-30, -20]), sigmoid([-20, -30]), atol=1e-4)
    assert not found.comparison
    assert compare_logits("sigmoid", sigmoid([-30, 2]), sigmoid([-30, 2]), 0.0).comparison


@pytest.mark.parametrize(
    ("kind", "outputs"), [("softmax", [1.0, 0.0, 0.0]), ("sigmoid", [1.0, 1.0, 0.0])]
)
def test_nothing_but_zeros_and_ones_tells_nothing(kind: str, outputs: list[float]) -> None:
    values = np.float32(outputs)
    found = compare_logits(kind, values, values, 1e-4)  # type: ignore[arg-type]
    assert not found.telling
    assert found.comparison


def test_a_probability_that_became_zero_or_one_differs() -> None:
    assert not compare_logits(
        "softmax", np.float32([0.9, 0.1]), np.float32([1, 0]), 1e-3
    ).comparison
    assert not compare_logits("sigmoid", np.float32([0.9]), np.float32([1.0]), 1e-3).comparison


def test_the_logits_may_differ_by_twice_what_they_round_and_a_thousandth() -> None:
    right = softmax([3.0, 1.0])
    for moved, same in ((0.0009, True), (0.0019, False), (0.0109, False)):
        found = compare_logits("softmax", right, softmax([3.0, 1.0 + moved]), 0.0)
        assert bool(found.comparison) is same
    assert compare_logits("softmax", right, softmax([3.0, 1.02]), 0.01).comparison
    assert not compare_logits("softmax", right, softmax([3.0, 1.025]), 0.01).comparison


def test_of_a_sigmoid_the_logit_itself_is_compared() -> None:
    """Near 1 a probability hardly moves, and its logarithm neither; the logit does."""
    right, wrong = sigmoid([5.0]), sigmoid([5.5])
    found = compare_logits("sigmoid", right, wrong, 0.0)
    assert found.comparison.max_abs == pytest.approx(0.5, abs=1e-3)
    # Beyond 0.999 too few digits are left to tell.
    assert not compare_logits("sigmoid", sigmoid([8.0]), sigmoid([9.0]), 0.0).telling


def test_a_softmax_is_compared_near_one_as_well() -> None:
    """One sure class and the rest: all of them are seen."""
    found = compare_logits("softmax", softmax([9.0, 0.0]), softmax([9.0, 0.5]), 0.0)
    assert found.telling
    assert found.comparison.elements == 2
    assert not found.comparison
