"""Maps on photos: the right pixels have the right color, and a wrong file's differ."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exporter.report.pictures import classes_drawing, depth_drawing, places_of
from runtime_check.artifact.geometry import Geometry
from runtime_check.artifact.metadata import OutputTensor

PHOTO = np.full((4, 8, 3), 100, np.uint8)
# A square network that sees columns 2 to 5 of the photo.
MIDDLE = Geometry(
    resize="cover",
    resize_height=4,
    resize_width=4,
    network_height=4,
    network_width=4,
    rounding="even",
).place(4, 8)


def tensor(shape: list[int], axes: str, holds: str, **more: Any) -> OutputTensor:
    fields = {"name": "map", "shape": shape, "axes": axes.split(), "holds": holds, **more}
    return OutputTensor.model_validate({"space": "network", **fields})


def pixels(text: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return np.asarray(image.convert("RGB"))


def scores(*classes: int) -> np.ndarray:
    """Scores `[3, 2, 2]` of which the largest of each cell is the class named."""
    given = np.zeros((3, 2, 2), np.float32)
    for cell, index in enumerate(classes):
        given[index, cell // 2, cell % 2] = 1
    return given


SCORES = tensor([3, 2, 2], "C H W", "scores")


def test_a_mask_lands_on_the_pixels_that_the_network_saw() -> None:
    drawing = classes_drawing(SCORES, None, PHOTO, MIDDLE, (scores(0, 1, 1, 2), scores(0, 1, 1, 2)))
    assert drawing is not None
    assert drawing.expected == drawing.actual
    # Half of (242, 85, 85), (85, 131, 242) and (177, 242, 85), half of the photo's 100, halves up.
    red, blue, green = [171, 93, 93], [93, 116, 171], [139, 171, 93]
    gray = [100, 100, 100]
    upper = [gray, gray, red, red, blue, blue, gray, gray]
    lower = [gray, gray, blue, blue, green, green, gray, gray]
    assert pixels(drawing.expected).tolist() == [upper, upper, lower, lower]
    assert [(s.label, s.color, s.expected, s.actual) for s in drawing.legend] == [
        ("class 1", "#5583f2", 0.5, 0.5),
        ("class 0", "#f25555", 0.25, 0.25),
        ("class 2", "#b1f255", 0.25, 0.25),
    ]


def test_a_wrong_files_mask_differs_where_it_is_wrong() -> None:
    drawing = classes_drawing(SCORES, None, PHOTO, MIDDLE, (scores(0, 0, 1, 1), scores(0, 2, 1, 1)))
    assert drawing is not None
    differing = (pixels(drawing.expected) != pixels(drawing.actual)).any(-1)
    assert [tuple(place) for place in np.argwhere(differing)] == [(0, 4), (0, 5), (1, 4), (1, 5)]
    shares = {s.label: (s.expected, s.actual) for s in drawing.legend}
    assert shares == {"class 0": (0.5, 0.25), "class 1": (0.5, 0.5), "class 2": (0.0, 0.25)}


@pytest.mark.parametrize(
    ("first", "clear"), [("background", True), ("__background__", True), ("sky", False)]
)
def test_class_0_is_not_drawn_where_it_is_the_background(first: str, clear: bool) -> None:
    labels = [first, "cat", "dog"]
    drawing = classes_drawing(SCORES, labels, PHOTO, MIDDLE, (scores(0, 0, 0, 1),) * 2)
    assert drawing is not None
    assert (pixels(drawing.expected)[0, 2].tolist() == [100, 100, 100]) == clear
    assert [(s.label, s.color == "") for s in drawing.legend] == [(first, clear), ("cat", False)]


@pytest.mark.parametrize(
    ("axes", "shape"), [("N C H W", (1, 3, 2, 2)), ("C H W", (3, 2, 2)), ("H W C", (2, 2, 3))]
)
def test_the_class_axis_is_where_the_axes_say(axes: str, shape: tuple[int, ...]) -> None:
    given = scores(0, 1, 1, 2)
    given = np.moveaxis(given, 0, -1) if axes == "H W C" else given.reshape(shape)
    places = places_of(tensor([*shape], axes, "probabilities"), given, MIDDLE)
    assert places is not None
    assert {i: int(where.sum()) for i, where in places.where.items()} == {0: 4, 1: 8, 2: 4}
    assert places.judged == 16


@pytest.mark.parametrize(
    ("holds", "dtype", "values"),
    [
        ("probabilities", "float32", [[0.4, 0.6], [0.5, 1.0]]),
        ("scores", "float32", [[-1.0, 0.4], [0.0, 1.0]]),
        ("mask", "uint8", [[0, 1], [0, 1]]),
    ],
)
def test_one_class_alone_is_a_mask(holds: str, dtype: str, values: list[list[float]]) -> None:
    spec = tensor([1, 2, 2], "C H W", holds, dtype=dtype)
    given = np.array([values], dtype)
    drawing = classes_drawing(spec, ["crack"], PHOTO, MIDDLE, (given, given))
    assert drawing is not None
    assert [(s.label, s.expected) for s in drawing.legend] == [("background", 0.5), ("crack", 0.5)]
    painted = (pixels(drawing.expected) != 100).any(-1)
    assert painted.tolist() == [[False] * 4 + [True] * 2 + [False] * 2] * 4


def test_several_masks_may_overlap() -> None:
    given = np.zeros((3, 2, 2), np.uint8)
    given[0], given[2, 0, 0] = 1, 1
    spec = tensor([3, 2, 2], "C H W", "mask", dtype="uint8")
    drawing = classes_drawing(spec, ["ant", "bee", "cat"], PHOTO, MIDDLE, (given, given))
    assert drawing is not None
    assert [(s.label, s.expected) for s in drawing.legend] == [("ant", 1.0), ("cat", 0.25)]
    # Ant's 171, 93, 93, then half of cat's 177, 242, 85 over it.
    assert pixels(drawing.expected)[0, 2].tolist() == [174, 168, 89]


def test_a_class_map_on_the_photo_leaves_out_what_was_not_seen() -> None:
    """As `--output class_map` gives it: 255 where the network sees nothing."""
    given = np.full((4, 8), 255, np.uint8)
    given[:, 2:6] = 1
    spec = tensor([4, 8], "H W", "class_map", dtype="uint8", space="photo")
    drawing = classes_drawing(spec, None, PHOTO, MIDDLE, (given, given))
    assert drawing is not None
    assert [(s.label, s.expected) for s in drawing.legend] == [("class 1", 1.0)]
    painted = (pixels(drawing.expected) != 100).any(-1)
    assert painted.tolist() == [[False] * 2 + [True] * 4 + [False] * 2] * 4


def test_a_legend_of_many_classes_sums_up_the_rest() -> None:
    given = np.arange(32, dtype=np.int64).reshape(4, 8) // 2
    spec = tensor([4, 8], "H W", "class_map", dtype="int64", space="photo")
    drawing = classes_drawing(spec, None, PHOTO, MIDDLE, (given, given))
    assert drawing is not None
    assert len(drawing.legend) == 8
    assert drawing.legend[-1].label == "9 more classes"
    assert sum(share.expected for share in drawing.legend) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "spec",
    [
        tensor([2, 3, 2, 2], "N C H W", "scores"),  # a batch
        tensor([3, 2, 2], "C H W", "values"),
        tensor([3, 2, 2], "C H W", "class_map"),
        tensor([3, 4], "N classes", "scores"),
    ],
)
def test_what_is_no_map_of_classes_is_not_drawn(spec: OutputTensor) -> None:
    given = np.zeros(spec.shape, np.float32)
    assert classes_drawing(spec, None, PHOTO, MIDDLE, (given, given)) is None


def test_depths_of_both_sides_share_one_scale() -> None:
    near = np.array([[[2.0, 4.0], [4.0, 4.0]]], np.float32)
    far = np.array([[[2.0, 4.0], [4.0, 10.0]]], np.float32)
    spec = tensor([1, 2, 2], "C H W", "depth", unit="meters")
    drawing = depth_drawing(spec, PHOTO, MIDDLE, (near, far))
    assert drawing is not None
    assert drawing.scale is not None
    assert (drawing.scale.low, drawing.scale.high, drawing.scale.unit) == (2.0, 10.0, "meters")
    assert (drawing.scale.colors[0], drawing.scale.colors[-1]) == ("#440154", "#fde725")
    expected, actual = pixels(drawing.expected), pixels(drawing.actual)
    assert expected[0, 2].tolist() == [68, 1, 84]
    assert expected[0, 4].tolist() == [59, 82, 139], "a quarter of the range"
    assert actual[3, 5].tolist() == [253, 231, 37]
    differing = (expected != actual).any(-1)
    assert [tuple(place) for place in np.argwhere(differing)] == [(2, 4), (2, 5), (3, 4), (3, 5)]


def test_depths_that_are_no_map_are_not_drawn() -> None:
    for shape, axes in (([2, 2, 2], "C H W"), ([4], "features")):
        given = np.zeros(shape, np.float32)
        spec = tensor(shape, axes, "depth")
        assert depth_drawing(spec, PHOTO, MIDDLE, (given, given)) is None
    nothing = np.full((2, 2), np.nan, np.float32)
    assert depth_drawing(tensor([2, 2], "H W", "depth"), PHOTO, MIDDLE, (nothing, nothing)) is None
