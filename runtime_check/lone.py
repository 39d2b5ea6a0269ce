"""Boxes without a partner: which of them two right computations may give or not give.

A detector decides by comparing numbers with limits. Where a number lies within rounding of its
limit, one machine gives a box and another does not, and both are right. Such a box is left out of
the comparison. Every other box without a partner is a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .artifact.output import Detection
from .found import NEAR, has_rows, partners, samples
from .metrics import Metric, box_iou

# As many boxes of a sample may be without a partner, or one in so many of those of both sides.
FEW = 2
ONE_IN = 50
# Suppression class by class moves the boxes of each class apart, by its number times more than the
# largest coordinate, and float32 rounds what comes out (`torchvision.ops.batched_nms`).
_ROUNDED = 2.0**-23


@dataclass(frozen=True, kw_only=True)
class Slack:
    """What may differ: `boxes` in pixels, `scores`, and `relative` to the size of either."""

    boxes: float
    scores: float
    relative: float = 0.0


def leave_out(
    metric: Metric,
    expected: Sequence[np.ndarray],
    actual: Sequence[np.ndarray],
    atol_of: Callable[[int], float],
    rtol: float,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return both sides without the boxes that rounding gave to one of them.

    Both hold each of a sample's outputs, of several samples in a row. `atol_of` an output and
    `rtol` say what is rounding. A box has a partner where one of its class lies within that. It may
    be without one

    - where its score is the threshold, but for rounding;
    - where the other side has as many boxes as it may have, and its score is not above their
      lowest, but for rounding;
    - where a better box of its class on the other side overlaps it by the limit, but for what
      rounding makes of an overlap, or by more and is itself such a box.

    A sample with any other box without a partner stays as it is, and so does one with more of them
    than `FEW` and more than one in `ONE_IN`.
    """
    one, other = [*expected], [*actual]
    limits = metric.detection
    if metric.kind != "boxes" or metric.scores is None or limits is None:
        return one, other
    slack = Slack(boxes=atol_of(metric.output), scores=atol_of(metric.scores), relative=rtol)
    for sample in samples(metric, min(len(one), len(other))):
        left, right = one[sample], other[sample]
        if not (has_rows(metric, left) and has_rows(metric, right)):
            continue
        sides = _Sides.of(metric, left, right, slack)
        if sides.lone_count and _all_explained(sides, limits, slack):
            for index in metric.rows:
                left[index] = left[index][~sides.lone[0]]
                right[index] = right[index][~sides.lone[1]]
            one[sample], other[sample] = left, right
    return one, other


@dataclass(frozen=True, eq=False)
class _Sides:
    """What was expected and what came, in float64, and which rows of each have no partner."""

    boxes: tuple[np.ndarray, np.ndarray]
    scores: tuple[np.ndarray, np.ndarray]
    classes: tuple[np.ndarray, np.ndarray]  # zeros where there are none
    lone: tuple[np.ndarray, np.ndarray]

    @staticmethod
    def of(
        metric: Metric, left: Sequence[np.ndarray], right: Sequence[np.ndarray], slack: Slack
    ) -> _Sides:
        assert metric.scores is not None
        boxes, others = (side[metric.output].astype(np.float64) for side in (left, right))
        scores, given = (side[metric.scores].astype(np.float64) for side in (left, right))
        kinds = metric.classes
        classes, named = (
            np.zeros(len(side[metric.output])) if kinds is None else side[kinds].astype(np.float64)
            for side in (left, right)
        )
        within = slack.boxes + slack.relative * np.abs(boxes)
        with np.errstate(invalid="ignore"):
            offsets = np.abs(boxes[:, None] - others[None])
        close = np.asarray((offsets <= within[:, None]).all(axis=2))
        places = partners(metric, left, right, close, max(NEAR, slack.scores))
        lone = np.ones(len(others), dtype=bool)
        lone[places[places >= 0]] = False
        return _Sides((boxes, others), (scores, given), (classes, named), (places < 0, lone))

    @property
    def lone_count(self) -> int:
        return int(self.lone[0].sum() + self.lone[1].sum())


def _all_explained(sides: _Sides, limits: Detection, slack: Slack) -> bool:
    """Whether every box without a partner may be without, and they are few."""
    total = len(sides.scores[0]) + len(sides.scores[1])
    if sides.lone_count > max(FEW, total // ONE_IN):
        return False
    rows = [(side, int(row)) for side in (0, 1) for row in np.flatnonzero(sides.lone[side])]
    return all(_explained(sides, side, row, limits, slack) for side, row in rows)


def _explained(sides: _Sides, side: int, row: int, limits: Detection, slack: Slack) -> bool:
    """Whether the other side may be without this box, where all better ones may be missing."""
    score, theirs = sides.scores[side][row], sides.scores[1 - side]
    near = slack.scores + slack.relative * abs(score)
    threshold, most = limits.score_threshold, limits.max_detections
    if threshold is not None and abs(score - threshold) <= near:
        return True
    if most is not None and len(theirs) >= most and score <= theirs.min() + near:
        return True
    if limits.iou_threshold is None:
        return False
    better = theirs >= score - near
    better &= sides.classes[1 - side] == sides.classes[side][row]
    iou, unsure = _overlaps(sides, side, row, slack)
    at_limit = np.abs(iou - limits.iou_threshold) <= unsure
    by_lone = sides.lone[1 - side] & (theirs > score) & (iou > limits.iou_threshold)
    return bool((better & (at_limit | by_lone)).any())


def _overlaps(sides: _Sides, side: int, row: int, slack: Slack) -> tuple[np.ndarray, np.ndarray]:
    """Return a box's overlap with each of the other side's, and how far rounding moves that.

    Of sides that move by d, the intersection I changes by d times the sum p of both boxes' widths
    and heights at most, and the sum of areas by twice as much: I / U by d p (1 + 3 I / U) / U.
    """
    box, others = sides.boxes[side][row], sides.boxes[1 - side]
    iou = box_iou(box[None], others)[0]
    low, high = others[:, :2], others[:, 2:]
    lengths = (high - low).sum(axis=1) + (box[2:] - box[:2]).sum()
    areas = (high - low).prod(axis=1) + (box[2:] - box[:2]).prod()
    union = areas / (1 + iou)
    largest = np.maximum(np.abs(others).max(axis=1, initial=0.0), np.abs(box).max())
    moved = slack.boxes + slack.relative * largest
    moved = moved + _ROUNDED * (1 + sides.classes[side][row]) * (1 + largest)
    with np.errstate(divide="ignore", invalid="ignore"):
        return iou, moved * lengths * (1 + 3 * iou) / union
