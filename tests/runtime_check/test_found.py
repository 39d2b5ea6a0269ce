"""Boxes are compared in pairs: their order may differ where their scores do not."""

from __future__ import annotations

import numpy as np
import pytest

from runtime_check.comparison import Tolerance, compare
from runtime_check.found import in_order_of
from runtime_check.metrics import Metric

BOXES = Metric(kind="boxes", outputs=3, scores=1, classes=2, rows=(0, 1, 2))
SMALL = Tolerance(outputs=(0.01, 1e-4, 0.0), atol=0.01)


def found(*rows: tuple[float, float, int]) -> list[np.ndarray]:
    """Boxes by their left side, score and class."""
    boxes = np.array([[x, 0, x + 5, 5] for x, _, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in rows], np.float32)
    return [boxes, scores, np.array([kind for _, _, kind in rows], np.int64)]


WANTED = found((0, 0.9, 1), (20, 0.50001, 1), (40, 0.5, 1), (60, 0.2, 2))


def test_near_scores_may_come_in_either_order() -> None:
    other = found((0, 0.9, 1), (40, 0.50001, 1), (20, 0.5, 1), (60, 0.2, 2))
    assert compare(WANTED, other, SMALL, BOXES)
    assert not compare(WANTED, other, SMALL)  # place by place
    twice = compare([*WANTED, *WANTED], [*WANTED, *other], SMALL, BOXES)
    assert twice
    stacked = [np.stack(pair) for pair in zip(WANTED, WANTED, strict=True)]
    swapped = [np.stack(pair) for pair in zip(WANTED, other, strict=True)]
    assert compare(stacked, swapped, SMALL, BOXES)


@pytest.mark.parametrize(
    "other",
    [
        found((20, 0.9, 1), (0, 0.50001, 1), (40, 0.5, 1), (60, 0.2, 2)),  # scores of others
        found((0, 0.9, 1), (20, 0.50001, 2), (40, 0.5, 1), (60, 0.2, 2)),  # another class
        found((0, 0.9, 1), (20, 0.50001, 1), (20, 0.5, 1), (60, 0.2, 2)),  # one of them twice
        found((60, 0.2, 2), (40, 0.5, 1), (20, 0.50001, 1), (0, 0.9, 1)),  # the worst first
        found((0, 0.9, 1), (20, 0.50001, 1), (40, 0.5, 1), (61, 0.2, 2)),  # moved
        found((0, 0.9, 1), (20, 0.50001, 1), (40, 0.5, 1)),  # one is missing
    ],
)
def test_what_differs_still_differs(other: list[np.ndarray]) -> None:
    assert not compare(WANTED, other, SMALL, BOXES)


def test_nothing_found_on_both_sides_is_the_same() -> None:
    assert compare(found(), found(), SMALL, BOXES)
    assert compare(found(), found(), SMALL).problem == "empty"
    assert compare(found(), WANTED, SMALL, BOXES).problem == "shape"


def test_pairs_alone_tell_rounding() -> None:
    other = found((40, 0.50004, 1), (20, 0.49998, 1), (300, 0.3, 1), (60.25, 0.2001, 2))
    boxes, scores, classes = in_order_of(BOXES, WANTED, other, paired=True)
    assert boxes[:, 0].tolist() == [0, 20, 40, 60.25]
    np.testing.assert_allclose(scores, [0.9, 0.49998, 0.50004, 0.2001])
    assert classes.tolist() == [1, 1, 1, 2]


def test_pairs_alone_are_of_whatever_number() -> None:
    """One box is gone, one is elsewhere with the same score: what is left tells rounding."""
    other = found((0.25, 0.9, 1), (300, 0.50001, 1), (40.5, 0.5, 1))
    boxes, scores, classes = in_order_of(BOXES, WANTED, other, paired=True)
    assert boxes[:, 0].tolist() == [0.25, 20, 40.5, 60]
    assert scores.tolist() == WANTED[1].tolist()
    assert classes.tolist() == [1, 1, 1, 2]


def test_scores_are_as_near_as_is_said() -> None:
    other = found((0, 0.9, 1), (40, 0.51, 1), (20, 0.49, 1), (60, 0.2, 2))
    assert in_order_of(BOXES, WANTED, other)[0][:, 0].tolist() == [0, 40, 20, 60]
    assert in_order_of(BOXES, WANTED, other, near=0.02)[0][:, 0].tolist() == [0, 20, 40, 60]
    wide = Tolerance(outputs=(0.01, 0.02, 0.0), atol=0.02)
    assert compare(WANTED, other, wide, BOXES)
    assert not compare(WANTED, other, Tolerance(outputs=(0.01, 0.005, 0.0), atol=0.01), BOXES)


def test_other_outputs_stay_in_their_order() -> None:
    values = [np.array([3.0, 1.0]), np.array([1, 2])]
    assert in_order_of(Metric(kind="none", outputs=2), values, values[::1]) == values
    unscored = Metric(kind="boxes", outputs=1, rows=(0,))
    flipped = [WANTED[0][::-1]]
    assert in_order_of(unscored, WANTED[:1], flipped)[0] is flipped[0]
