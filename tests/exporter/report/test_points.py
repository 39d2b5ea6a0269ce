"""Key points on photos: where they lie, what they are called, how sure they are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from exporter.report.points import PointRow, points_drawing, points_of
from runtime_check.artifact.geometry import Geometry
from runtime_check.artifact.metadata import Output

from ...mobile.golden_files import FOLDER
from .test_pictures import pixels

VECTORS = json.loads((FOLDER / "drawn.json").read_text(encoding="utf-8"))["points"]
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


def output(tensor: dict[str, Any], labels: list[str] | None = None) -> Output:
    return Output.model_validate({"returned": "tensor", "tensors": [tensor], "labels": labels})


def keypoints(*shape: int, labels: list[str] | None = None) -> Output:
    axes = [f"a{i}" for i in range(len(shape))]
    fields = {"name": "points", "shape": shape, "axes": axes, "holds": "keypoints"}
    return output({**fields, "space": "network"}, labels)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_points_lie_where_the_apps_draw_them(vector: dict[str, Any]) -> None:
    stated = output(vector["output"], vector["labels"])
    (tensor,) = stated.tensors
    values = np.array([float(v) for v in vector["values"]], np.float32).reshape(tensor.shape)
    placement = Geometry.model_validate(vector["geometry"]).place(*vector["photo"])
    found = points_of(stated, tensor, values, placement)
    assert (found if found is None else [vars(point) for point in found]) == vector["expected"]


def test_a_sure_point_is_filled_and_another_is_a_ring() -> None:
    """At twice the network's coordinates, on a picture drawn twice as large as the photo."""
    values = np.float32([[10, 5, 0.9], [20, 15, 0.2]])
    found = points_drawing(keypoints(2, 3), 0, PHOTO, HALF, (values, values))
    assert found is not None
    assert (found.drawing.kind, found.drawing.width, found.drawing.height) == ("points", 120, 80)
    seen = pixels(found.drawing.expected)
    red, blue, gray = [242, 85, 85], [85, 131, 242], [100, 100, 100]
    assert seen[20, 40].tolist() == red
    assert seen[60, 80].tolist() == gray
    blues = np.argwhere((seen == blue).all(-1))
    assert len(blues) > 4
    assert (np.abs(blues - [60, 80]).max(-1) <= 4).all()
    assert not (seen == blue).all(-1)[:40].any()


def test_a_wrong_files_points_are_its_own() -> None:
    right, wrong = np.float32([[1, 2], [3, 4]]), np.float32([[1, 2], [9, np.nan]])
    stated = keypoints(2, 2, labels=["nose", "chin"])
    found = points_drawing(stated, 0, PHOTO, HALF, (right, wrong))
    assert found is not None
    assert found.rows == [
        PointRow(label="nose", expected=(2, 4), actual=(2, 4)),
        PointRow(label="chin", expected=(6, 8), actual=None),
    ]
    assert found.drawing.expected != found.drawing.actual
    swapped = points_drawing(stated, 0, PHOTO, HALF, (wrong, right))
    assert swapped is not None
    assert swapped.rows[1] == PointRow(label="chin", expected=None, actual=(6, 8))
    assert swapped.total == 1


def test_of_many_points_some_are_named_and_all_are_drawn() -> None:
    values = np.float32([[2 * i, i] for i in range(14)])
    found = points_drawing(keypoints(14, 2), 0, PHOTO, HALF, (values, values))
    assert found is not None
    assert (len(found.rows), found.total) == (10, 14)
    last = pixels(found.drawing.expected)[4 * 13, 8 * 13]
    assert last.tolist() != [100, 100, 100]
