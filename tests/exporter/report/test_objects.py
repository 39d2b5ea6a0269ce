"""Boxes on photos: where they lie, what they are called, which of them are shown."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exporter.report.objects import boxes_drawing
from runtime_check.artifact.geometry import Geometry
from runtime_check.artifact.metadata import Output

PHOTO = np.full((40, 60, 3), 100, np.uint8)
# The network's picture is half as high and wide as the photo.
HALF = Geometry(
    resize="stretch",
    resize_height=20,
    resize_width=30,
    network_height=20,
    network_width=30,
    rounding="even",
).place(40, 60)


def output(
    count: int, *, space: str = "network", scores: str = "boxes", labels: Any = None
) -> Output:
    shape = [count] if scores == "boxes" else [count, 3]
    return Output.model_validate(
        {
            "returned": "list",
            "tensors": [
                {"name": "boxes", "shape": [count, 4], "axes": ["boxes", "4"], "holds": "boxes",
                 "space": space},
                {"name": "scores", "shape": shape, "axes": ["boxes", "classes"][: len(shape)],
                 "holds": "probabilities"},
                {"name": "labels", "shape": [count], "axes": ["boxes"], "holds": "class_index",
                 "dtype": "int64"},
            ],
            "labels": labels,
        }
    )  # fmt: skip


def colored(text: str, color: tuple[int, int, int]) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return (np.asarray(image.convert("RGB")) == np.array(color)).all(-1)


def test_a_box_lies_on_the_photo_in_its_classs_color() -> None:
    """Twice the network's coordinates, and drawn twice as large."""
    arrays = [np.float32([[5, 10, 20, 18]]), np.float32([0.9]), np.int64([1])]
    found = boxes_drawing(output(1, labels=["ant", "bee", "cat"]), PHOTO, HALF, (arrays, arrays))
    assert found is not None
    assert (found.drawing.width, found.drawing.height) == (120, 80)
    blue = colored(found.drawing.expected, (85, 131, 242))
    assert blue[40:72, 20].all(), "its left edge is at 4 x 5"
    assert blue[71, 20:80].all(), "its lower edge ends at 4 x 18"
    assert not blue[74:].any()
    assert found.boxes[0].model_dump() == {
        "expected": "bee",
        "actual": "bee",
        "expected_score": pytest.approx(0.9),
        "actual_score": pytest.approx(0.9),
    }
    assert found.shown == {0, 1, 2}


def test_a_wrong_files_box_is_elsewhere() -> None:
    right = [np.float32([[5, 10, 20, 18]]), np.float32([0.9]), np.int64([1])]
    wrong = [np.float32([[10, 10, 20, 18]]), np.float32([0.9]), np.int64([2])]
    found = boxes_drawing(output(1), PHOTO, HALF, (right, wrong))
    assert found is not None
    assert colored(found.drawing.expected, (85, 131, 242))[70, 20]
    assert not colored(found.drawing.actual, (85, 131, 242)).any()
    assert colored(found.drawing.actual, (177, 242, 85))[70, 40]
    assert (found.boxes[0].expected, found.boxes[0].actual) == ("class 1", "class 2")


def test_coordinates_on_the_photo_are_taken_as_they_are() -> None:
    arrays = [np.float32([[10, 20, 40, 99]]), np.float32([0.9]), np.int64([1])]
    found = boxes_drawing(output(1, space="photo"), PHOTO, HALF, (arrays, arrays))
    assert found is not None
    blue = colored(found.drawing.expected, (85, 131, 242))
    assert blue[40:80, 20].all(), "cut at the photo's edge"


def test_the_best_come_first_and_the_doubtful_are_left_out() -> None:
    boxes = np.float32([[i, i, i + 4, i + 4] for i in range(5)])
    scores, classes = np.float32([0.2, 0.8, 0.6, 0.1, 0.7]), np.int64([0, 1, 2, 3, 4])
    found = boxes_drawing(output(5), PHOTO, HALF, ([boxes, scores, classes],) * 2)
    assert found is not None
    assert [row.expected for row in found.boxes] == ["class 1", "class 4", "class 2"]
    assert found.total == 5
    # Where none is above one half, the best three: an untrained detector shows what it finds.
    found = boxes_drawing(output(5), PHOTO, HALF, ([boxes, scores / 8, classes],) * 2)
    assert found is not None
    assert [row.expected for row in found.boxes] == ["class 1", "class 4", "class 2"]


def test_scores_of_each_class_name_the_best() -> None:
    arrays = [np.float32([[0, 0, 9, 9]]), np.float32([[0.1, 0.2, 0.7]]), np.int64([0])]
    found = boxes_drawing(output(1, scores="classes"), PHOTO, HALF, (arrays, arrays))
    assert found is not None
    assert (found.boxes[0].expected, found.boxes[0].expected_score) == (
        "class 2",
        pytest.approx(0.7),
    )


def test_nothing_found_is_drawn_as_the_photo_alone() -> None:
    none = [np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)]
    one = [np.float32([[5, 10, 20, 18]]), np.float32([0.9]), np.int64([1])]
    found = boxes_drawing(output(1), PHOTO, HALF, (none, one))
    assert found is not None
    assert found.total == 0
    assert (found.boxes[0].expected, found.boxes[0].actual) == (None, "class 1")
    # What is not finite, or beside the photo, is no box on it.
    odd = [
        np.float32([[np.nan, 0, 1, 1], [40, 0, 50, 1]]),
        np.float32([0.9, 0.9]),
        np.int64([1, 1]),
    ]
    found = boxes_drawing(output(2), PHOTO, HALF, (odd, odd))
    assert found is not None
    assert (found.total, found.boxes) == (0, [])


def test_outputs_without_boxes_are_not_drawn() -> None:
    tensor = {"name": "y", "shape": [4], "axes": ["features"]}
    plain = Output.model_validate({"returned": "tensor", "tensors": [tensor], "labels": None})
    given = [np.zeros(4, np.float32)]
    assert boxes_drawing(plain, PHOTO, HALF, (given, given)) is None
