"""Figures of a task, against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import numpy as np
import pytest

from runtime_check.artifact.metadata import LedgerRow, OutputTensor
from runtime_check.artifact.output import Holds
from runtime_check.metrics import (
    CLASSES,
    FIGURES,
    HEADINGS,
    VALUES,
    Agreement,
    Kind,
    Metric,
    agreement_of,
    box_iou,
    mean_iou,
    measure,
    metric_for,
    metric_of,
)
from runtime_check.tasks import Task


def tensor(shape: list[int], axes: str, holds: Holds, name: str = "it") -> OutputTensor:
    return OutputTensor(name=name, shape=shape, axes=axes.split(), holds=holds)


ROW = tensor([1, 10], "N classes", "scores")
MAP = tensor([1, 5, 8, 9], "N C H W", "logits")


@pytest.mark.parametrize(
    ("task", "stated", "metric"),
    [
        ("image-classification", ROW, Metric(kind="classes")),
        ("multi-label-classification", ROW, Metric(kind="classes")),
        ("image-classification", tensor([10], "classes", "probabilities"), Metric(kind="classes")),
        ("image-classification", tensor([1, 2], "N classes", "scores"), Metric(kind="classes")),
        # Nothing ranks one class, a map's classes are no row, and no task says what a row is for.
        ("image-classification", tensor([1, 1], "N classes", "scores"), VALUES),
        ("image-classification", MAP, VALUES),
        ("image-classification", tensor([1, 10], "N features", "values"), VALUES),
        (None, ROW, VALUES),
        ("image-regression", ROW, VALUES),
        ("image-segmentation", MAP, Metric(kind="pixels", axis=-3)),
        (
            "image-segmentation",
            tensor([5, 8, 9], "C H W", "scores"),
            Metric(kind="pixels", axis=-3),
        ),
        (
            "image-segmentation",
            tensor([2, 8, 9], "C H W", "scores"),
            Metric(kind="pixels", axis=-3),
        ),
        ("image-segmentation", tensor([8, 9], "H W", "scores"), VALUES),
        ("image-segmentation", tensor([8, 9], "H W", "class_map"), Metric(kind="pixels", axis=0)),
        (
            "image-segmentation",
            tensor([8, 9], "H W", "mask"),
            Metric(kind="pixels", axis=0, threshold=0.5),
        ),
        (
            "image-segmentation",
            tensor([1, 1, 8, 9], "N C H W", "probabilities"),
            Metric(kind="pixels", axis=0, threshold=0.5),
        ),
        (
            "image-segmentation",
            tensor([1, 1, 8, 9], "N C H W", "logits"),
            Metric(kind="pixels", axis=0, threshold=0.0),
        ),
        (None, MAP, VALUES),
        ("image-to-image", tensor([8, 9], "H W", "class_map"), VALUES),
        (None, tensor([1, 64], "N features", "embedding"), Metric(kind="vectors")),
        (None, tensor([2], "features", "embedding"), Metric(kind="vectors")),
        (None, tensor([1, 1], "N features", "embedding"), VALUES),
        (None, tensor([], "", "embedding"), VALUES),
        (None, tensor([3, 4], "boxes 4", "boxes"), Metric(kind="boxes", rows=(0,))),
        ("depth-estimation", tensor([8, 9], "H W", "depth"), VALUES),
    ],
)
def test_what_an_output_is_judged_by_is_the_tasks(
    task: Task | None, stated: OutputTensor, metric: Metric
) -> None:
    assert metric_for(task, [stated]) == metric


def test_an_artifacts_metric_is_that_of_its_task_and_outputs(tensor_ptl: Any) -> None:
    metadata = tensor_ptl.metadata
    assert metric_of(metadata) == Metric(kind="classes")
    assert metric_of(metadata.model_copy(update={"task": "image-regression"})) == VALUES
    output = metadata.output.model_copy(update={"tensors": [tensor([2], "features", "embedding")]})
    assert metric_of(metadata.model_copy(update={"output": output})) == Metric(kind="vectors")


def test_of_several_outputs_the_first_that_has_a_metric_is_measured() -> None:
    values = tensor([1, 4], "N 4", "values", "values")
    other = tensor([1, 3], "N classes", "scores", "other")
    assert metric_for("image-classification", [values, ROW, other]) == Metric(
        kind="classes", outputs=3, output=1
    )
    assert metric_for("image-regression", [values, ROW]) == Metric(kind="none", outputs=2)
    assert metric_for(None, []) == VALUES
    scores = tensor([3], "boxes", "scores", "scores")
    kinds = tensor([3], "boxes", "class_index", "labels")
    boxes = tensor([3, 4], "boxes 4", "boxes", "boxes")
    assert metric_for("object-detection", [scores, kinds, boxes]) == Metric(
        kind="boxes", outputs=3, output=2, classes=1, scores=0, rows=(0, 1, 2)
    )
    assert metric_for("object-detection", [scores, boxes]) == Metric(
        kind="boxes", outputs=2, output=1, scores=0, rows=(0, 1)
    )


@pytest.mark.parametrize(
    ("figures", "share"),
    [
        ({}, None),
        ({"top1": 0.5, "top5": 0.9}, 0.5),
        ({"pixels": 0.7, "miou": 0.3}, 0.7),
        ({"cosine": 0.25}, 0.25),
        ({"boxes": 0.0}, 0.0),
        ({"top5": 0.9, "miou": 0.3}, None),
    ],
)
def test_one_figure_is_the_share_that_agrees(
    figures: dict[str, float], share: float | None
) -> None:
    assert agreement_of(Agreement(**figures)) == share
    assert agreement_of(LedgerRow.model_validate({"stage": "any", **figures})) == share


# --- classes --------------------------------------------------------------------------------------

BEST = np.array([[3.0, 2.0, 1.0]])  # of three classes, the first
LAST = np.array([[1.0, 2.0, 3.0]])


def test_the_best_class_is_that_of_each_sample() -> None:
    assert measure(CLASSES, [BEST], [BEST]) == Agreement(top1=1.0)
    assert measure(CLASSES, [BEST, BEST, LAST, LAST], [BEST, LAST, LAST, LAST]).top1 == 0.75
    # Stacked, and as rows without a batch.
    stacked = np.concatenate([BEST, BEST, LAST])
    assert measure(CLASSES, [stacked], [stacked[::-1]]).top1 == pytest.approx(1 / 3)
    assert measure(CLASSES, [BEST[0], LAST[0]], [BEST[0], BEST[0]]).top1 == 0.5
    seven = np.array([[7, 6, 5, 4, 3, 2, 1]])
    other = np.array([[7, 6, 5, 4, 2, 3, 1]])
    assert measure(CLASSES, [seven, seven], [seven, other]) == Agreement(top1=1.0, top5=0.9)


def test_of_several_outputs_only_the_metrics_own_is_ranked() -> None:
    boxes = np.zeros((2, 4))
    second = Metric(kind="classes", outputs=2, output=1)
    expected = [BEST, LAST, BEST, BEST]
    assert measure(second, expected, [LAST, LAST, LAST, LAST]).top1 == 0.5
    assert measure(Metric(kind="classes", outputs=2), [BEST, boxes], [BEST, boxes]).top1 == 1.0
    # Stacked: each output of all samples.
    both, turned = np.concatenate([BEST, LAST]), np.concatenate([BEST, BEST])
    assert measure(second, [both, both], [both[::-1], turned]).top1 == 0.5
    assert measure(second, [BEST], [LAST]) == Agreement()
    assert measure(CLASSES, [], []) == Agreement()
    assert measure(VALUES, [BEST], [BEST]) == Agreement()


def test_what_is_no_row_of_one_length_has_no_best_class() -> None:
    number = np.array(1.0)
    assert measure(CLASSES, [number], [number]) == Agreement()
    assert measure(CLASSES, [BEST, BEST[:, :2]], [BEST, BEST[:, :2]]) == Agreement()
    assert measure(CLASSES, [np.zeros((0, 3))], [np.zeros((0, 3))]) == Agreement()


# --- maps -----------------------------------------------------------------------------------------


def test_mean_iou_by_hand() -> None:
    """Class 0: one of two; class 1: one of three; class 2: none of one."""
    expected, actual = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])
    assert mean_iou(expected, actual) == mean_iou(actual, expected)
    assert mean_iou(expected, actual) == pytest.approx((1 / 2 + 1 / 3 + 0) / 3)
    assert mean_iou(expected, expected) == 1.0
    # A class that neither map has does not count, nor does how large a class is.
    assert mean_iou(np.array([5, 5, 5, 9]), np.array([5, 5, 5, 5])) == pytest.approx(3 / 8)


def test_maps_hold_classes_or_scores_of_them() -> None:
    expected, actual = np.uint8([[0, 0], [1, 2]]), np.uint8([[0, 1], [1, 1]])
    by_class = Metric(kind="pixels", axis=0)
    found = measure(by_class, [expected], [actual])
    assert found == Agreement(pixels=0.5, miou=pytest.approx(5 / 18))

    def scored(classes: np.ndarray) -> np.ndarray:
        """Scores [1, 3, H, W] of which the class's is the largest, though negative."""
        return np.where(np.arange(3)[:, None, None] == classes, -1.0, -2.0)[None]

    along = Metric(kind="pixels", axis=-3)
    assert measure(along, [scored(expected)], [scored(actual)]) == found
    assert measure(along, [scored(expected)[0]], [scored(actual)[0]]) == found


@pytest.mark.parametrize(("threshold", "pixels"), [(0.5, 0.75), (0.0, 0.5)])
def test_a_map_of_one_class_has_it_above_a_threshold(threshold: float, pixels: float) -> None:
    """Above 0.5: no no yes yes, and no no no yes; above 0: no yes yes yes, and yes no yes yes."""
    metric = Metric(kind="pixels", axis=0, threshold=threshold)
    expected, actual = np.array([0.0, 0.25, 0.75, 0.9]), np.array([0.25, -1.0, 0.5, 0.6])
    assert measure(metric, [expected], [actual]).pixels == pixels


def test_maps_of_several_samples_are_measured_as_one_of_any_sizes() -> None:
    metric = Metric(kind="pixels", outputs=2, output=1, axis=0)
    score = np.zeros(3)
    one, other = np.array([[0, 1]]), np.array([[0, 0], [1, 1], [1, 1]])
    changed = np.array([[0, 0], [1, 1], [1, 0]])
    found = measure(metric, [score, one, score, other], [score, one, score, changed])
    # Of eight pixels one; class 0: three of four, class 1: four of five.
    assert found == Agreement(pixels=0.875, miou=pytest.approx((3 / 4 + 4 / 5) / 2))
    nothing = np.zeros((0, 4), np.int64)
    assert measure(metric, [score, nothing], [score, nothing]) == Agreement()


# --- vectors --------------------------------------------------------------------------------------

VECTORS = Metric(kind="vectors")


def test_the_smallest_cosine_counts_whatever_the_lengths() -> None:
    """(3, 4) and (4, 3): 24 of 25."""
    one, other = np.float32([[3.0, 4.0]]), np.float32([[40.0, 30.0]])
    assert measure(VECTORS, [one], [other]) == Agreement(cosine=pytest.approx(0.96))
    assert measure(VECTORS, [one, one], [one, other]).cosine == pytest.approx(0.96)
    stacked = np.concatenate([one, one])
    assert measure(VECTORS, [stacked], [np.concatenate([other, one])]).cosine == pytest.approx(0.96)
    assert measure(VECTORS, [one[0]], [-one[0]]).cosine == pytest.approx(-1.0)
    second = Metric(kind="vectors", outputs=2, output=1)
    assert measure(second, [one, one], [-one, one]).cosine == pytest.approx(1.0)


def test_a_vector_of_no_length_has_no_direction() -> None:
    zero, one = np.zeros((1, 2)), np.array([[1.0, 0.0]])
    assert measure(VECTORS, [zero], [one]) == Agreement()
    assert measure(VECTORS, [zero, one], [one, one]).cosine == 1.0
    assert measure(VECTORS, [np.zeros((0, 2))], [np.zeros((0, 2))]) == Agreement()
    # Nor is there one of vectors of other lengths, or of a number.
    three, number = np.ones((1, 3)), np.array(1.0)
    assert measure(VECTORS, [one, three], [one, three]) == Agreement()
    assert measure(VECTORS, [number], [number]) == Agreement()


# --- boxes ----------------------------------------------------------------------------------------

SQUARE = [0.0, 0.0, 2.0, 2.0]
HALF = [0.0, 0.0, 2.0, 1.0]  # of the square
CORNER = [1.0, 1.0, 3.0, 3.0]  # shares 1 of 7 with the square
FAR = [10.0, 10.0, 12.0, 12.0]
LESS = [0.0, 0.0, 2.0, 0.99]  # a little less than half of the square
BOXES = Metric(kind="boxes")


def boxes(*them: list[float]) -> np.ndarray:
    return np.array(them, np.float32).reshape(-1, 4)


def test_overlaps_by_hand() -> None:
    found = box_iou(boxes(SQUARE, FAR), boxes(SQUARE, HALF, CORNER))
    assert found == pytest.approx(np.array([[1.0, 0.5, 1 / 7], [0.0, 0.0, 0.0]]))
    flat = boxes([1.0, 1.0, 1.0, 1.0])
    assert box_iou(flat, flat).tolist() == [[0.0]]
    assert box_iou(boxes(), flat).shape == (0, 1)


@pytest.mark.parametrize(
    ("expected", "actual", "share"),
    [
        ([SQUARE, FAR], [FAR, SQUARE], 1.0),  # in any order
        ([SQUARE], [HALF], 1.0),  # a half is enough
        ([SQUARE], [LESS], 0.0),
        ([SQUARE, FAR], [SQUARE], 2 / 3),  # of three boxes on both sides
        ([SQUARE], [SQUARE, SQUARE], 2 / 3),  # each box has one partner
        ([SQUARE], [], 0.0),
        ([], [SQUARE, FAR], 0.0),
        ([], [], None),
        # The best overlap first: the half would do for either.
        ([SQUARE, HALF], [HALF, FAR], 0.5),
        ([SQUARE, HALF], [HALF, SQUARE], 1.0),
    ],
)
def test_the_share_of_boxes_with_a_partner(
    expected: list[list[float]], actual: list[list[float]], share: float | None
) -> None:
    found = measure(BOXES, [boxes(*expected)], [boxes(*actual)])
    assert found == Agreement(boxes=None if share is None else pytest.approx(share))


def test_the_best_overlap_is_taken_before_a_good_one() -> None:
    """The wide box overlaps the middle one by 3/4, which has a partner just like itself."""
    wide, middle = [0.0, 0.0, 4.0, 1.0], [0.0, 0.0, 3.0, 1.0]
    # What is left overlaps the wide one by 1.9 of 4, and the middle one by 1.9 of 3.
    left = measure(BOXES, [boxes(wide, middle)], [boxes(middle, [0.0, 0.0, 1.9, 1.0])])
    assert left.boxes == 0.5
    left = measure(BOXES, [boxes(wide, middle)], [boxes(middle, [0.0, 0.0, 2.1, 1.0])])
    assert left.boxes == 1.0


NAMED = Metric(kind="boxes", outputs=3, output=0, classes=2)


def named(them: np.ndarray, *kinds: int) -> list[np.ndarray]:
    return [them, np.full(len(them), 0.5, np.float32), np.array(kinds, np.int64)]


def test_partners_are_of_one_class() -> None:
    two = boxes(SQUARE, FAR)
    assert measure(NAMED, named(two, 1, 2), named(two, 1, 2)).boxes == 1.0
    assert measure(NAMED, named(two, 1, 2), named(two, 1, 3)).boxes == 0.5
    assert measure(NAMED, named(two, 1, 2), named(two, 2, 1)).boxes == 0.0
    # A box of another class does not take the partner of one that has its class.
    stacked = boxes(SQUARE, SQUARE)
    assert measure(NAMED, named(stacked, 1, 2), named(stacked, 2, 1)).boxes == 1.0
    # One output of the sample may be of any order: classes come first here.
    kinds_first: Any = Metric(kind="boxes", outputs=2, output=1, classes=0)
    expected, actual = [np.array([1, 2]), two], [np.array([1, 3]), two]
    assert measure(kinds_first, expected, actual).boxes == 0.5


def test_boxes_without_an_area_match_where_they_lie_in_the_same_place() -> None:
    """As boxes clipped to the photo's edge, which overlap not even themselves."""
    edge, rounded = [800.0, 100.0, 800.0, 200.0], [800.0, 100.001, 800.0, 200.0]
    lower, wide = [800.0, 101.0, 800.0, 200.0], [799.0, 100.0, 800.0, 200.0]
    assert measure(BOXES, [boxes(edge)], [boxes(edge)]).boxes == 1.0
    assert measure(BOXES, [boxes(edge, SQUARE)], [boxes(SQUARE, rounded)]).boxes == 1.0
    assert measure(BOXES, [boxes(edge)], [boxes(lower)]).boxes == 0.0
    assert measure(BOXES, [boxes(edge)], [boxes(wide)]).boxes == 0.0
    assert measure(NAMED, named(boxes(edge), 1), named(boxes(edge), 2)).boxes == 0.0
    assert measure(BOXES, [boxes(edge, edge)], [boxes(edge)]).boxes == pytest.approx(2 / 3)


def test_samples_have_any_number_of_boxes_and_are_not_mixed() -> None:
    expected = [*named(boxes(SQUARE), 1), *named(boxes(), *()), *named(boxes(FAR, SQUARE), 1, 1)]
    actual = [*named(boxes(FAR), 1), *named(boxes(HALF), 1), *named(boxes(FAR), 1)]
    # None of the first sample's two and of the second's one, two of the third's three.
    assert measure(NAMED, expected, actual).boxes == pytest.approx(2 / 6)


def test_stacked_samples_are_judged_one_by_one() -> None:
    """Two samples of two boxes: in the second the boxes are the first sample's."""
    one = np.stack([boxes(SQUARE, SQUARE), boxes(FAR, FAR)])
    other = np.stack([boxes(SQUARE, FAR), boxes(SQUARE, FAR)])
    assert measure(BOXES, [one], [other]).boxes == 0.5
    metric = Metric(kind="boxes", outputs=2, output=0, classes=1)
    kinds, others = np.array([[1, 1], [1, 1]]), np.array([[2, 1], [1, 1]])
    # The first's square is of another class, so that the second's alone has a partner.
    assert measure(metric, [one, kinds], [other, others]).boxes == 0.25
    # A batch of one, sample after sample.
    given = [one[:1], kinds[:1], one[1:], kinds[1:]]
    came = [other[:1], others[:1], other[1:], others[1:]]
    assert measure(metric, given, came).boxes == 0.25


def test_every_figure_has_a_name_and_a_metric() -> None:
    assert [name for names in FIGURES.values() for name in names] == [*HEADINGS]
    assert set(HEADINGS) == {field.name for field in fields(Agreement)}
    assert set(FIGURES) == set(get_args(Kind))
    # What a metric measures is what it is said to, the share that agrees first.
    seven, two = np.arange(7.0)[None], boxes(SQUARE, FAR)
    for kind, made in (("classes", seven), ("pixels", seven), ("vectors", seven), ("boxes", two)):
        metric = Metric(kind=kind)
        found = measure(metric, [made], [made])
        measured = [name for name in HEADINGS if getattr(found, name) is not None]
        assert measured == [*FIGURES[kind]]
        assert agreement_of(Agreement(**{measured[0]: 0.25})) == 0.25
