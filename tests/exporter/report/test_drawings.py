"""Pictures of outputs: colors, where a map lies on a photo, boxes. References by hand."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exporter.report.drawings import (
    ENLARGED,
    Found,
    Grid,
    as_rgb,
    class_color,
    depth_colors,
    draw_boxes,
    hex_color,
    paint,
    paint_depth,
    png,
)
from runtime_check.artifact.geometry import Geometry, Placement

PALETTE = Path(__file__).parents[2] / "golden" / "palette.json"
GRAY = np.full((4, 6, 3), 100, np.uint8)


def placed(resize: str, photo: tuple[int, int], network: tuple[int, int]) -> Placement:
    height, width = network
    geometry = Geometry.model_validate(
        {
            "resize": resize,
            "resize_height": height,
            "resize_width": width,
            "network_height": height,
            "network_width": width,
            "rounding": "even",
        }
    )
    return geometry.place(*photo)


def test_classes_have_the_colors_of_the_apps() -> None:
    stated = json.loads(PALETTE.read_text(encoding="utf-8"))["classes"]
    assert len(stated) > 5
    for one in stated:
        assert list(class_color(one["index"])) == one["rgb"]
    assert hex_color(class_color(0)) == "#f25555"


def test_depths_run_from_dark_violet_to_yellow() -> None:
    colors = depth_colors(np.array([0.0, 0.0625, 0.5, 1.0, -1.0, 2.0])).tolist()
    assert colors[0] == colors[4] == [68, 1, 84]
    assert colors[1] == [70, 23, 104]  # halfway to (71, 45, 123), halves up
    assert colors[2] == [33, 145, 140]
    assert colors[3] == colors[5] == [253, 231, 37]
    gray = depth_colors(np.linspace(0, 1, 50)) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(gray) > 0).all(), "larger is lighter"


def test_a_photo_of_any_color_is_drawn_in_rgb() -> None:
    gray = np.array([[[7], [9]]], np.uint8)
    assert as_rgb(gray).tolist() == [[[7] * 3, [9] * 3]]
    assert as_rgb(np.array([[[1, 2, 3, 255]]], np.uint8)).tolist() == [[[1, 2, 3]]]
    assert as_rgb(GRAY).tolist() == GRAY.tolist()


def test_a_png_holds_the_pixels() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    with Image.open(io.BytesIO(base64.b64decode(png(pixels)))) as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), pixels)


def test_a_map_over_the_middle_of_a_photo_leaves_the_edges_out() -> None:
    """4 x 8 pixels, of which a square network sees columns 2 to 5, in cells of 2 x 2 pixels."""
    grid = Grid.over_network(placed("cover", (4, 8), (4, 4)), 2, 2)
    assert grid.rows.tolist() == [0, 0, 1, 1]
    assert grid.columns.tolist() == [-1, -1, 0, 0, 1, 1, -1, -1]
    assert grid.seen.sum() == 4 * 4
    spread = np.where(grid.seen, grid.spread(np.array([[1, 2], [3, 4]])), 0)
    assert spread[0].tolist() == [0, 0, 1, 1, 2, 2, 0, 0]
    assert spread[3].tolist() == [0, 0, 3, 3, 4, 4, 0, 0]


def test_a_map_over_a_padded_photo_begins_in_the_padding() -> None:
    """2 x 4 pixels in the middle of 4 x 4: rows 1 and 2 of the map."""
    grid = Grid.over_network(placed("fit", (2, 4), (4, 4)), 4, 4)
    assert grid.rows.tolist() == [1, 2]
    assert grid.columns.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("resize", ["cover", "fit", "stretch"])
@pytest.mark.parametrize("photo", [(37, 53), (80, 21), (5, 9)])
def test_pixels_are_where_the_placement_says(resize: str, photo: tuple[int, int]) -> None:
    placement = placed(resize, photo, (24, 32))
    grid = Grid.over_network(placement, 7, 5)
    for y in range(photo[0]):
        for x in range(photo[1]):
            cell = placement.cell_of(x, y, 7, 5)
            assert bool(grid.seen[y, x]) == (cell is not None)
            assert cell is None or cell == (grid.rows[y], grid.columns[x])


def test_a_map_over_the_photo_itself() -> None:
    grid = Grid.over_photo(4, 6, 2, 3)
    assert grid.rows.tolist() == [0, 0, 1, 1]
    assert grid.columns.tolist() == [0, 0, 1, 1, 2, 2]


def test_classes_are_laid_half_over_the_photo() -> None:
    where = np.zeros((4, 6), bool)
    where[1, 2] = True
    painted = paint(GRAY, {0: where})
    # Class 0 is (242, 85, 85): (242 + 100 + 1) // 2 = 171, (85 + 100 + 1) // 2 = 93.
    assert painted[1, 2].tolist() == [171, 93, 93]
    assert np.array_equal(np.delete(painted.reshape(-1, 3), 8, 0), np.full((23, 3), 100))
    assert (GRAY == 100).all(), "the photo stays"


def test_depths_are_drawn_where_they_are_known() -> None:
    depths = np.array([[1.0, np.nan, 5.0]], np.float32)
    drawn = paint_depth(GRAY, depths, Grid.over_photo(4, 6, 1, 3), (1.0, 5.0))
    assert drawn[0, 0].tolist() == [68, 1, 84]
    assert drawn[3, 2].tolist() == [100, 100, 100], "not a number"
    assert drawn[3, 5].tolist() == [253, 231, 37]
    flat = paint_depth(GRAY, np.ones((1, 1)), Grid.over_photo(4, 6, 1, 1), (1.0, 1.0))
    assert flat[2, 2].tolist() == [68, 1, 84]


def test_boxes_are_drawn_around_what_they_hold() -> None:
    photo = np.full((60, 80, 3), 100, np.uint8)
    found = Found(box=(20.0, 30.0, 60.0, 50.0), text="cat 0.90", color=(242, 85, 85))
    drawn = draw_boxes(photo, [found])
    assert drawn.shape == (60 * ENLARGED, 80 * ENLARGED, 3)
    colored = (drawn == np.array([242, 85, 85])).all(-1)
    assert colored[60:100, 40].all(), "its left edge"
    assert colored[99, 40:120].all(), "its lower edge"
    assert not colored[64:96, 44:116].any(), "nothing inside"
    assert not colored[102:].any(), "nothing below"
    assert colored[45:60, 40:60].any(), "its text above"
    assert (drawn[:60][~colored[:60]] < 50).any(), "in black"


def test_boxes_at_the_edges_stay_inside() -> None:
    photo = np.full((12, 16, 3), 100, np.uint8)
    thin = Found(box=(15.9, 0.0, 16.0, 0.2), text="a long name\nof two lines", color=(1, 2, 3))
    assert draw_boxes(photo, [thin, thin]).shape == (24, 32, 3)
