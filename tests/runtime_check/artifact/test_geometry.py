"""Where a photo lies in what the network sees: against what timm and Pillow draw there."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from timm.data import create_transform

from runtime_check.artifact.geometry import Geometry, Placement

CropMode = Literal["center", "border", "squash"]
# crop mode, network (height, width), crop_pct, and the geometry it is, written by hand.
TRANSFORMS: list[tuple[CropMode, tuple[int, int], float, Geometry]] = [
    ("center", (48, 48), 0.75, Geometry(
        resize="cover", resize_height=64, resize_width=64, network_height=48, network_width=48,
        rounding="down")),
    ("center", (49, 49), 0.875, Geometry(
        resize="cover", resize_height=56, resize_width=56, network_height=49, network_width=49,
        rounding="down")),
    ("center", (40, 60), 0.8, Geometry(
        resize="cover", resize_height=50, resize_width=75, network_height=40, network_width=60,
        rounding="even")),
    ("border", (64, 64), 1.0, Geometry(
        resize="fit", resize_height=64, resize_width=64, network_height=64, network_width=64,
        rounding="even")),
    ("border", (40, 61), 0.8, Geometry(
        resize="fit", resize_height=50, resize_width=76, network_height=40, network_width=61,
        rounding="even")),
    ("squash", (48, 33), 0.9, Geometry(
        resize="stretch", resize_height=53, resize_width=36, network_height=48, network_width=33,
        rounding="even")),
    # The network's picture is larger than the resized photo: black around it.
    ("center", (48, 48), 1.3, Geometry(
        resize="cover", resize_height=36, resize_width=36, network_height=48, network_width=48,
        rounding="down")),
    ("squash", (40, 40), 1.25, Geometry(
        resize="stretch", resize_height=32, resize_width=32, network_height=40, network_width=40,
        rounding="even")),
]  # fmt: skip
# Height, width; one is at most 256, so that a level of gray is a pixel.
PHOTOS = [(256, 256), (200, 251), (251, 200), (97, 256), (256, 97), (100, 99), (60, 61)]


def _drawn(
    mode: CropMode, network: tuple[int, int], crop_pct: float, photo: np.ndarray
) -> np.ndarray:
    """What timm makes of a photo: float levels [3, h, w]; padding is 0."""
    transform = create_transform(
        (3, *network),
        is_training=False,
        interpolation="bilinear",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        crop_pct=crop_pct,
        crop_mode=mode,
    )
    levels: np.ndarray = transform(Image.fromarray(photo)).numpy() * 255
    return levels


@pytest.mark.parametrize("size", PHOTOS, ids=str)
@pytest.mark.parametrize("case", TRANSFORMS, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def test_every_pixel_shows_the_place_of_the_photo_that_it_says(
    case: tuple[CropMode, tuple[int, int], float, Geometry], size: tuple[int, int]
) -> None:
    mode, network, crop_pct, geometry = case
    height, width = size
    photo = np.full((height, width, 3), 255, np.uint8)
    # Red says in which column a pixel was, green in which row, and blue that it was there.
    photo[..., 0], photo[..., 1] = np.arange(width), np.arange(height)[:, None]
    levels = _drawn(mode, network, crop_pct, photo)
    placed = geometry.place(height, width)
    assert levels.shape[1:] == (placed.network_height, placed.network_width)
    compared = 0
    for row in range(network[0]):
        for column in range(network[1]):
            x, y = placed.to_photo(column + 0.5, row + 0.5)
            inside = 0 <= x < width and 0 <= y < height
            assert (levels[2, row, column] > 0) == inside
            reach = [2 * max(1.0, width / placed.resized_width)]
            reach.append(2 * max(1.0, height / placed.resized_height))
            # At the photo's edge a resize averages what is there, off the middle.
            if reach[0] <= x <= width - reach[0] and reach[1] <= y <= height - reach[1]:
                assert levels[0, row, column] + 0.5 == pytest.approx(x, abs=0.75)
                assert levels[1, row, column] + 0.5 == pytest.approx(y, abs=0.75)
                compared += 1
    assert compared > 50


def test_another_placement_would_be_noticed() -> None:
    mode, network, crop_pct, geometry = TRANSFORMS[0]
    photo = np.zeros((256, 256, 3), np.uint8)
    photo[..., 0] = np.arange(256)
    levels = _drawn(mode, network, crop_pct, photo)
    placed = geometry.place(256, 256)
    # One pixel of the network is four of the photo.
    assert abs(levels[0, 20, 20] + 0.5 - placed.to_photo(21.5, 20.5)[0]) > 3


@pytest.mark.parametrize(
    ("photo", "mode", "network", "crop_pct", "geometry"),
    [
        # Half of 5 is 2.5: 2, as Python rounds.
        ((4, 5), "center", (2, 4), 1.0, ("cover", 2, 4, "even")),
        ((5, 4), "center", (4, 2), 1.0, ("cover", 4, 2, "even")),
        ((7, 5), "center", (4, 4), 1.0, ("cover", 4, 4, "down")),
        ((1, 30), "border", (20, 20), 1.0, ("fit", 20, 20, "even")),
        ((30, 1), "center", (4, 4), 1.0, ("cover", 4, 4, "down")),
        ((1, 30), "center", (4, 6), 1.0, ("cover", 4, 6, "even")),
    ],
)
def test_the_resized_photo_is_as_large_as_timms(
    photo: tuple[int, int],
    mode: CropMode,
    network: tuple[int, int],
    crop_pct: float,
    geometry: tuple[Literal["cover", "fit"], int, int, Literal["down", "even"]],
) -> None:
    resize = create_transform(
        (3, *network), is_training=False, crop_pct=crop_pct, crop_mode=mode
    ).transforms[0]
    picture = resize(Image.new("RGB", (photo[1], photo[0])))
    kind, tall, wide, rounding = geometry
    placed = Geometry(
        resize=kind, resize_height=tall, resize_width=wide, network_height=network[0],
        network_width=network[1], rounding=rounding,
    ).place(*photo)  # fmt: skip
    assert (placed.resized_width, placed.resized_height) == picture.size


def test_halves_of_a_side_go_to_the_even_number() -> None:
    geometry = Geometry(
        resize="cover", resize_height=2, resize_width=2, network_height=2, network_width=2,
        rounding="even",
    )  # fmt: skip
    placed = geometry.place(4, 5)
    assert (placed.resized_height, placed.resized_width) == (2, 2)


def by_hand() -> Placement:
    """A photo of 100 x 200 shrunk to half, the middle 40 x 40 of it seen."""
    return Geometry(
        resize="cover", resize_height=50, resize_width=50, network_height=40, network_width=40,
        rounding="down",
    ).place(100, 200)  # fmt: skip


def test_a_placement_by_hand() -> None:
    assert by_hand() == Placement(
        height=100, width=200, resized_height=50, resized_width=100, top=5, left=30,
        network_height=40, network_width=40,
    )  # fmt: skip
    assert by_hand().seen == (60.0, 10.0, 140.0, 90.0)
    assert by_hand().to_photo(0.0, 0.0) == (60.0, 10.0)
    assert by_hand().to_network(100.0, 50.0) == (20.0, 20.0)
    assert by_hand().box_to_photo((-40.0, 0.0, 90.0, 20.0)) == (0.0, 10.0, 200.0, 50.0)


def test_the_cells_of_a_map_by_hand() -> None:
    placed = by_hand()
    # 2 x 4 cells: one is 40 pixels of the photo high and 20 wide.
    assert placed.cell_of(60, 10, 2, 4) == (0, 0)
    assert placed.cell_of(79, 49, 2, 4) == (0, 0)
    assert placed.cell_of(80, 50, 2, 4) == (1, 1)
    assert placed.cell_of(139, 89, 2, 4) == (1, 3)
    for x, y in ((59, 50), (140, 50), (100, 9), (100, 90)):
        assert placed.cell_of(x, y, 2, 4) is None
    assert placed.middle_of(0, 0, 2, 4) == (70.0, 30.0)
    assert placed.middle_of(1, 3, 2, 4) == (130.0, 70.0)


def test_the_padding_of_a_fitted_photo_is_no_part_of_it() -> None:
    placed = Geometry(
        resize="fit", resize_height=20, resize_width=20, network_height=20, network_width=20,
        rounding="even",
    ).place(40, 20)  # fmt: skip
    assert (placed.top, placed.left, placed.resized_width) == (0, -5, 10)
    assert placed.to_photo(0.0, 0.0) == (-10.0, 0.0)
    assert placed.seen == (0.0, 0.0, 20.0, 40.0)
    assert placed.cell_of(0, 0, 20, 20) == (0, 5)


_sides = st.integers(1, 3000)


@settings(max_examples=200, deadline=None)
@given(
    resize=st.sampled_from(["cover", "fit", "stretch"]),
    rounding=st.sampled_from(["down", "even"]),
    sizes=st.tuples(*[st.integers(1, 400)] * 4),
    height=_sides,
    width=_sides,
    point=st.tuples(st.floats(-50, 500), st.floats(-50, 500)),
)
def test_there_and_back_is_the_same_place(
    resize: Literal["cover", "fit", "stretch"],
    rounding: Literal["down", "even"],
    sizes: tuple[int, int, int, int],
    height: int,
    width: int,
    point: tuple[float, float],
) -> None:
    if rounding == "down" and resize != "stretch":
        # The only one of these that is resized to one edge.
        resize, sizes = "cover", (sizes[1], *sizes[1:])
    geometry = Geometry(
        resize=resize, rounding=rounding, resize_height=sizes[0], resize_width=sizes[1],
        network_height=sizes[2], network_width=sizes[3],
    )  # fmt: skip
    placed = geometry.place(height, width)
    assert min(placed.resized_height, placed.resized_width) >= 1
    assert placed.to_network(*placed.to_photo(*point)) == pytest.approx(point, abs=1e-6)
    left, top, right, bottom = placed.seen
    assert 0 <= left <= right <= width
    assert 0 <= top <= bottom <= height
    if resize == "cover":
        # To within what rounding a side leaves.
        assert placed.resized_height >= geometry.resize_height - 1
        assert placed.resized_width >= geometry.resize_width - 1


@pytest.mark.parametrize(("resize", "tall"), [("fit", 4), ("cover", 5)])
def test_one_edge_says_nothing_of_another_shape(resize: Literal["cover", "fit"], tall: int) -> None:
    with pytest.raises(ValidationError, match="covering a square"):
        Geometry(
            resize=resize, resize_height=tall, resize_width=4, network_height=4, network_width=4,
            rounding="down",
        )  # fmt: skip


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError):
        Geometry(
            resize="fit", resize_height=0, resize_width=1, network_height=1, network_width=1,
            rounding="even",
        )  # fmt: skip
