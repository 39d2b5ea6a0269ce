"""What is shown of each golden input, by task: bars for rows of classes alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exporter.report.golden import Bar, Number, Spread, is_row_of_classes
from runtime_check.artifact.metadata import OutputTensor

from .reports import (
    PHOTO,
    depths,
    detections,
    embeddings,
    image_to_image,
    metadata,
    points,
    regression,
    segmentation,
    views,
)


def tensor(shape: list[int], axes: str, holds: str) -> dict[str, Any]:
    return {"name": "y", "shape": shape, "axes": axes.split(), "holds": holds}


@pytest.mark.parametrize(
    ("shape", "axes", "holds", "ranks"),
    [
        ([3], "classes", "probabilities", True),
        ([1, 3], "N classes", "scores", True),
        ([1, 3, 1, 1], "N C H W", "logits", True),
        ([2, 3], "N classes", "scores", False),
        ([3, 4, 4], "C H W", "scores", False),
        ([3], "features", "values", False),
        ([3], "features", "embedding", False),
    ],
)
def test_a_row_of_classes(shape: list[int], axes: str, holds: str, ranks: bool) -> None:
    spec = OutputTensor.model_validate(tensor(shape, axes, holds))
    assert is_row_of_classes(spec) == ranks


def test_a_classifier_has_the_top_five_of_both() -> None:
    output = {"returned": "tensor", "tensors": [tensor([6], "classes", "scores")], "labels": None}
    scores = np.float32([0.1, 0.4, 0.2, 0.0, 0.3, 0.05])
    (view,) = views(metadata(output=output), ([scores], [scores / 2]))
    assert view.bars is not None
    assert view.bars.what == "scores"
    assert [bar.label for bar in view.bars.rows] == [f"class {i}" for i in (1, 4, 2, 0, 5)]
    assert view.bars.rows[0].actual == pytest.approx(0.2)
    assert view.max_abs == pytest.approx(0.2)
    assert (view.width, view.height) == (PHOTO.shape[1], PHOTO.shape[0])
    assert not view.others


@pytest.mark.parametrize("task", [None, "image-regression", "image-feature-extraction"])
def test_a_vector_of_another_task_has_no_bars(task: str | None) -> None:
    output = {"returned": "tensor", "tensors": [tensor([9], "features", "values")], "labels": None}
    vector = np.arange(9, dtype=np.float32)
    (view,) = views(metadata(task=task, output=output), ([vector], [vector + 1]))
    assert view.bars is None
    assert view.others[0].expected == Spread(minimum=0, mean=4, maximum=8)
    assert view.others[0].actual == Spread(minimum=1, mean=5, maximum=9)
    assert view.others[0].shape == [9]


def test_a_segmentation_is_drawn_and_the_rest_is_in_numbers() -> None:
    (view,) = segmentation().golden
    assert view.bars is None
    assert view.drawing is not None
    assert (view.drawing.output, view.drawing.kind) == ("mask", "classes")
    assert (view.drawing.width, view.drawing.height) == (9, 6)
    assert [(s.label, s.expected) for s in view.drawing.legend] == [
        ("ant", pytest.approx(4 / 6)),
        ("bee", pytest.approx(1 / 6)),
        ("cat", pytest.approx(1 / 6)),
    ]
    assert [figures.output for figures in view.others] == ["area"]


def test_depths_and_boxes_are_drawn() -> None:
    (near,), (found,) = depths().golden, detections().golden
    assert near.drawing is not None
    assert near.drawing.scale is not None
    assert (near.drawing.scale.low, near.drawing.scale.high) == (1.0, 6.0)
    assert found.drawing is not None
    assert [box.expected for box in found.boxes] == ["cat"]
    assert found.boxes_total == 2
    assert not near.others
    assert not found.others


def test_points_are_drawn_and_listed_and_a_picture_stands_beside_the_photo() -> None:
    """The network sees 3 x 2 of a photo of 9 x 6: three times the coordinates."""
    (found,), (made,) = points().golden, image_to_image().golden
    assert found.drawing is not None
    assert [(row.label, row.expected) for row in found.points] == [
        ("ant", (1.5, 1.5)), ("bee", (4.5, 3.0)), ("cat", (7.5, 4.5)),
    ]  # fmt: skip
    assert found.points_total == 3
    assert made.drawing is not None
    assert (made.drawing.kind, made.drawing.width, made.drawing.height) == ("picture", 3, 2)
    assert (made.width, made.height) == (9, 6)
    assert made.png
    assert not found.others
    assert not made.others


def test_an_embedding_has_its_cosines_to_the_others_the_nearest_first() -> None:
    """Along x, along y, and between: 0, and 1 / sqrt(2) = 0.70711."""
    first, second, third = embeddings().golden
    half = pytest.approx(0.70710678)
    assert first.bars is not None
    assert first.bars.what == "cosines"
    assert [(b.label, b.expected) for b in first.bars.rows] == [("eel", half), ("dog", 0.0)]
    assert second.bars is not None
    assert [(b.label, b.expected) for b in second.bars.rows] == [("eel", half), ("cat", 0.0)]
    assert third.bars is not None
    assert [b.expected for b in third.bars.rows] == [half, half]


def test_a_wrong_files_cosines_are_its_own() -> None:
    output = embeddings().metadata.output.model_dump()
    meta = metadata(task="image-feature-extraction", output=output)
    x, y = np.float32([1, 0]), np.float32([0, 1])
    first, second = views(meta, ([x], [x]), ([y], [-x]))
    assert first.bars is not None
    assert first.bars.rows == [Bar(label="dog", expected=0.0, actual=-1.0)]
    assert second.max_abs == 1.0
    (alone,) = views(meta, ([x], [x]))
    assert alone.bars is None
    assert alone.others


def test_a_regression_is_a_number_with_its_unit() -> None:
    (view,) = regression().golden
    assert view.numbers == (Number(label="age", unit="years", expected=41.5, actual=41.25),)
    assert not view.others


def test_a_bare_network_is_not_drawn() -> None:
    meta = segmentation().metadata
    scores = np.ones((3, 2, 3), np.float32), np.ones(8, np.float32)
    (view,) = views(meta, ([*scores], [*scores]), photo=None)
    assert view.drawing is None
    assert (view.png, view.width) == ("", 0)
    assert [figures.output for figures in view.others] == ["mask", "area"]


def test_values_that_are_not_finite_are_left_out_of_the_figures() -> None:
    output = {"returned": "tensor", "tensors": [tensor([3], "features", "values")], "labels": None}
    meta = metadata(task=None, output=output)
    odd, none = np.float32([1, np.nan, np.inf]), np.float32([np.nan] * 3)
    (view,) = views(meta, ([odd], [none]))
    assert view.others[0].expected == Spread(minimum=1, mean=1, maximum=1)
    assert view.others[0].actual == Spread(minimum=None, mean=None, maximum=None)
    assert view.max_abs == 0.0


def test_bytes_do_not_wrap_around() -> None:
    output = {
        "returned": "tensor",
        "tensors": [{**tensor([2], "features", "values"), "dtype": "uint8"}],
        "labels": None,
    }
    (view,) = views(metadata(task=None, output=output), ([np.uint8([0, 9])], [np.uint8([3, 9])]))
    assert view.max_abs == 3.0


def test_of_many_outputs_some_are_shown_and_the_rest_counted() -> None:
    tensors = [{**tensor([1], "features", "values"), "name": f"y{i}"} for i in range(11)]
    output = {"returned": "list", "tensors": tensors, "labels": None}
    arrays = [np.float32([i]) for i in range(11)]
    (view,) = views(metadata(task=None, output=output), (arrays, arrays))
    assert [figures.output for figures in view.others] == [f"y{i}" for i in range(8)]
    assert view.left_out == 3
