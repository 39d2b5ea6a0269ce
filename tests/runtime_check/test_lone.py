"""A box may be missing where rounding decides whether it is found, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from runtime_check.artifact.output import Detection
from runtime_check.comparison import Comparison, Tolerance, compare
from runtime_check.lone import leave_out
from runtime_check.metrics import Metric

LIMITS = Detection(score_threshold=0.25, iou_threshold=0.5, max_detections=6)
SMALL = Tolerance(outputs=(0.01, 1e-4, 0.0), atol=0.01)

Row = tuple[float, float, int]


def metric(limits: Detection | None = LIMITS) -> Metric:
    return Metric(kind="boxes", outputs=3, scores=1, classes=2, rows=(0, 1, 2), detection=limits)


def found(*rows: Row) -> list[np.ndarray]:
    """Boxes 10 wide and high by their left side, score and class."""
    boxes = np.array([[x, 0, x + 10, 10] for x, _, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in rows], np.float32)
    return [boxes, scores, np.array([kind for _, _, kind in rows], np.int64)]


A, B, C = (0.0, 0.9, 1), (40.0, 0.8, 1), (80.0, 0.6, 2)
AT_THRESHOLD = (120.0, 0.25005, 2)


def both(one: list[np.ndarray], other: list[np.ndarray], limits: Detection | None) -> bool:
    """The verdict, which is the same whichever side is the one to be proven."""
    verdicts = {
        bool(compare(*pair, SMALL, metric(limits))) for pair in ((one, other), (other, one))
    }
    assert len(verdicts) == 1
    return verdicts.pop()


@pytest.mark.parametrize(
    ("one", "other", "passes"),
    [
        # --- the threshold of scores
        ((A, B, AT_THRESHOLD), (A, B), True),
        ((A, B, (120.0, 0.2502, 2)), (A, B), False),
        ((A, B, (120.0, 0.2498, 2)), (A, B), False),  # below it, which no detector gives
        ((A, B, C), (A, B), False),  # a strong one
        ((A, B, C, AT_THRESHOLD), (A, B), False),  # one of each
        ((AT_THRESHOLD,), (), True),
        ((C,), (), False),
        # One on each side, as many as there were: in other places, of other classes.
        ((A, B, AT_THRESHOLD), (A, B, (200.0, 0.25005, 2)), True),
        ((A, B, AT_THRESHOLD), (A, B, (120.0, 0.25005, 1)), True),
        ((A, B, C), (A, B, (200.0, 0.6, 2)), False),  # moved
        ((A, B, C), (A, B, (80.0, 0.6, 1)), False),  # of another class
        # No more than two of a few.
        ((A, B, AT_THRESHOLD, (150.0, 0.25, 1)), (A, B), True),
        ((A, B, AT_THRESHOLD, (150.0, 0.25, 1), (180.0, 0.25, 1)), (A, B), False),
        # --- overlap at the limit: 10 - x to 10 + x, a half at x = 10 / 3
        ((A, (10 / 3, 0.7, 1), C), (A, C), True),
        ((A, (10 / 3 + 0.005, 0.7, 1), C), (A, C), True),
        ((A, (3.4, 0.7, 1), C), (A, C), False),  # farther away: it should have stayed
        ((A, (3.2, 0.7, 1), C), (A, C), False),  # nearer: it should have gone on both sides
        ((A, (10 / 3, 0.7, 2), C), (A, C), False),  # another class suppresses nothing
        ((A, (10 / 3, 0.95, 1), C), (A, C), False),  # nor does a worse box
        # The box that came suppresses another one, which is therefore missing.
        ((A, (10 / 3, 0.7, 1), C), (A, (5.0, 0.65, 1), C), True),
        ((A, (10 / 3, 0.7, 1), C), (A, (9.0, 0.65, 1), C), False),  # too far for that
        ((A, (10 / 3, 0.7, 1), C), (A, (5.0, 0.75, 1), C), False),  # better than that one
        # A box in another's place is no suppression: neither is there by rounding.
        ((A, (40.0, 0.8, 1), C), (A, (41.0, 0.8, 1), C), False),
        # --- no more than six
        (
            (A, B, (10 / 3, 0.7, 1), C, (120.0, 0.5, 1), (160.0, 0.4, 1)),
            (A, B, C, (120.0, 0.5, 1), (160.0, 0.4, 1), (200.0, 0.3, 1)),
            True,
        ),
        (
            (A, B, C, (120.0, 0.5, 1), (160.0, 0.4, 1), (200.0, 0.30003, 1)),
            (A, B, C, (120.0, 0.5, 1), (160.0, 0.4, 1), (240.0, 0.3, 1)),
            True,
        ),
        (
            (A, B, C, (120.0, 0.5, 1), (160.0, 0.4, 1), (200.0, 0.3003, 1)),
            (A, B, C, (120.0, 0.5, 1), (160.0, 0.4, 1), (240.0, 0.3, 1)),
            False,
        ),
        # Fewer than six are not full.
        ((A, B, C, (120.0, 0.5, 1), (160.0, 0.4, 1)), (A, B, C, (120.0, 0.5, 1)), False),
        # --- order and values of the others still count
        ((A, B, C, AT_THRESHOLD), (B, A, C), False),
        ((A, B, C, AT_THRESHOLD), (A, (40.02, 0.8, 1), C), False),
        ((A, B, C, AT_THRESHOLD), (A, (40.0, 0.8002, 1), C), False),
        ((A, B, (80, 0.60005, 1), (90, 0.6, 1), AT_THRESHOLD),
         (A, B, (90, 0.60005, 1), (80, 0.6, 1)), True),
    ],
)  # fmt: skip
def test_what_may_be_missing(one: tuple[Row, ...], other: tuple[Row, ...], passes: bool) -> None:
    assert both(found(*one), found(*other), LIMITS) is passes
    # Several samples in a row, each by itself.
    right = found(A, B, C)
    twice = compare([*right, *found(*one)], [*right, *found(*other)], SMALL, metric())
    assert bool(twice) is passes


@pytest.mark.parametrize(
    "limits",
    [None, Detection(), Detection(iou_threshold=0.5, max_detections=6)],
)
def test_without_a_stated_threshold_nothing_is_missing_by_it(limits: Detection | None) -> None:
    assert not both(found(A, B, AT_THRESHOLD), found(A, B), limits)
    assert both(found(A, B), found(A, B), limits)


def test_of_many_boxes_one_in_fifty_may_be_missing() -> None:
    rows = [(20.0 * i, 0.9 - 0.001 * i, 1) for i in range(100)]
    edge = [(20.0 * i, 0.25, 2) for i in range(6)]
    limits = Detection(score_threshold=0.25)
    verdicts = [both(found(*rows, *edge[:count]), found(*rows), limits) for count in range(7)]
    assert verdicts == [True] * 5 + [False] * 2


def told(one: list[np.ndarray], other: list[np.ndarray]) -> Comparison:
    return compare(one, other, SMALL, metric())


def test_what_is_left_is_measured_and_what_fails_is_said() -> None:
    left = told(found(A, B, AT_THRESHOLD), found(A, (40.005, 0.8, 1)))
    assert left.max_abs == pytest.approx(0.005, rel=1e-3)
    assert left.elements == 2 * (4 + 1 + 1)
    assert left.boxes == 1.0
    wrong = told(found(A, B, C), found(A, B))
    assert wrong.problem == "shape"
    assert str(wrong) == "output 0: 2 boxes, expected 3, beyond rounding."


def test_how_far_an_overlap_may_be_off_grows_with_classes_that_are_moved_apart() -> None:
    """float32 at 30,000 pixels steps by 1/512, which moves a half by 1/7000; at 120 by nothing."""
    off = 10 / 3 + 2e-4
    for kind, passes in ((1, False), (250, True)):
        exact = Tolerance(outputs=(1e-6, 1e-4, 0.0), atol=1e-4)
        one = found((0.0, 0.9, kind), (off, 0.8, kind), (110.0, 0.7, kind))
        other = found((0.0, 0.9, kind), (110.0, 0.7, kind))
        assert bool(compare(one, other, exact, metric())) is passes


def test_what_has_no_rows_stays() -> None:
    one, other = found(A, AT_THRESHOLD), found(A)
    one[2] = one[2][:1]
    for given in (one, found(AT_THRESHOLD)):
        plain = metric() if given is one else Metric(kind="none", outputs=3, scores=1)
        left, right = leave_out(plain, given, other, SMALL.atol_of, 0.0)
        assert [a is b for a, b in zip(left, given, strict=True)] == [True] * 3
        assert [a is b for a, b in zip(right, other, strict=True)] == [True] * 3
    broken = found(A, (120.0, np.nan, 2))
    assert not told(broken, found(A))
