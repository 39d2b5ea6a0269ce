"""Pictures that networks give: their levels, their range, and that both sides share it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from exporter.report.images import picture_drawing, picture_of, picture_range
from runtime_check.artifact.metadata import OutputTensor

from ...mobile.golden_files import FOLDER
from .test_pictures import pixels, tensor

VECTORS = json.loads((FOLDER / "drawn.json").read_text(encoding="utf-8"))["pictures"]
COLOR = tensor([3, 1, 2], "C H W", "image")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_a_picture_has_the_levels_that_the_apps_show(vector: dict[str, Any]) -> None:
    spec = OutputTensor.model_validate(vector["output"])
    values = np.array([float(v) for v in vector["values"]], spec.dtype).reshape(spec.shape)
    limits = picture_range(spec, values)
    picture = None if limits is None else picture_of(spec, values, limits)
    if vector["expected"] is None:
        assert picture is None
        return
    assert picture is not None
    height, width = picture.shape[:2]
    assert vector["expected"] == {
        "height": height,
        "width": width,
        "low": limits[0] if limits else None,
        "high": limits[1] if limits else None,
        "rgb": picture.ravel().tolist(),
    }


def test_both_sides_are_drawn_in_one_range() -> None:
    """Eager Python's reaches to 1, so 2 on the other side is white and not a range of its own."""
    right = np.float32([[[0, 1]], [[0, 0]], [[0.5, 0]]])
    drawing = picture_drawing(COLOR, (right, right))
    assert drawing is not None
    assert (drawing.kind, drawing.width, drawing.height) == ("picture", 2, 1)
    assert pixels(drawing.expected).tolist() == [[[0, 0, 128], [255, 0, 0]]]
    assert drawing.scale is not None
    assert (drawing.scale.low, drawing.scale.high) == (0, 1)
    assert (drawing.scale.colors[0], drawing.scale.colors[-1]) == ("#000000", "#ffffff")
    bright = picture_drawing(COLOR, (right, right + 100))
    assert bright is not None
    assert bright.scale is not None
    assert (bright.scale.low, bright.scale.high) == (0, 255)
    assert pixels(bright.expected).tolist() == [[[0, 0, 1], [1, 0, 0]]]
    assert pixels(bright.actual).tolist() == [[[100, 100, 101], [101, 100, 100]]]


def test_what_is_no_picture_is_not_drawn() -> None:
    values = tensor([3, 1, 2], "C H W", "scores")
    given = np.zeros((3, 1, 2), np.float32)
    assert picture_drawing(values, (given, given)) is None
    nothing = np.full((3, 1, 2), np.nan, np.float32)
    assert picture_drawing(COLOR, (nothing, nothing)) is None
    five = tensor([5, 1, 2], "C H W", "image")
    assert picture_drawing(five, (np.zeros((5, 1, 2)), np.zeros((5, 1, 2)))) is None
