"""Classes on a photo, against the contract's own placement, pixel by pixel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.postprocess.photo import UNSEEN, onto_photo
from runtime_check.artifact.geometry import Geometry

SIDES = st.integers(1, 40)


@settings(max_examples=150)
@given(
    st.sampled_from([("cover", "down"), ("cover", "even"), ("fit", "even"), ("stretch", "even")]),
    st.tuples(SIDES, SIDES),
    st.tuples(SIDES, SIDES),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    SIDES,
)
def test_each_pixel_has_the_class_of_its_cell(
    how: tuple[str, str],
    photo: tuple[int, int],
    network: tuple[int, int],
    cells: tuple[int, int],
    scale: int,
) -> None:
    resize, rounding = how
    square = (scale, scale) if rounding == "down" else network
    geometry = Geometry.model_validate(
        {
            "resize": resize, "resize_height": square[0], "resize_width": square[1],
            "network_height": network[0], "network_width": network[1], "rounding": rounding,
        }
    )  # fmt: skip
    place = geometry.place(*photo)
    classes = torch.arange(cells[0] * cells[1], dtype=torch.uint8).reshape(cells)
    resized = (place.resized_height, place.resized_width)
    found = onto_photo(classes, photo, resized, (place.top, place.left), network)
    assert found.dtype == torch.uint8
    for y in range(photo[0]):
        for x in range(photo[1]):
            cell = place.cell_of(x, y, *cells)
            wanted = UNSEEN if cell is None else int(classes[cell])
            assert int(found[y, x]) == wanted


def test_it_scripts() -> None:
    scripted = torch.jit.script(onto_photo)
    classes = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8)
    asked = ((3, 3), (4, 4), (0, 0), (4, 4))
    assert torch.equal(scripted(classes, *asked), onto_photo(classes, *asked))


@pytest.mark.parametrize("unseen", [255, 7])
def test_what_is_not_seen_has_a_number_of_its_own(unseen: int) -> None:
    """A photo twice as wide as the network: its middle half is seen."""
    classes = torch.ones(2, 2, dtype=torch.uint8)
    found = onto_photo(classes, (2, 4), (2, 4), (0, 1), (2, 2), unseen)
    assert found.tolist() == [[unseen, 1, 1, unseen]] * 2
