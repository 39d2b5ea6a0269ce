"""One output looked at: its axes, and what it holds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from exporter.meaning.look import is_map, last_word, look, sum_to_one, within_one

from .seen import noise, seen


@pytest.mark.parametrize(
    ("output", "known", "axes", "holds"),
    [
        (noise(1, 6), {"classes": 6}, ("N", "classes"), "scores"),
        (noise(1, 6), {"labels": tuple("abcdef")}, ("N", "classes"), "scores"),
        # A number of classes that nothing fits says nothing.
        (noise(1, 6), {"classes": 7}, ("N", "features"), "values"),
        (noise(1, 6), {"classes": 6, "labels": ("a", "b")}, ("N", "features"), "values"),
        (noise(1, 6).softmax(1), {"classes": 6}, ("N", "classes"), "probabilities"),
        (noise(1, 1), {"classes": 1}, ("N", "features"), "values"),
        (noise(1, 5, 24, 32), {}, ("N", "C", "H", "W"), "scores"),
        (noise(1, 5, 6, 8), {}, ("N", "C", "H", "W"), "values"),
        (noise(1, 5, 6, 8), {"labels": tuple("abcde")}, ("N", "C", "H", "W"), "scores"),
        # Three channels of the picture's size may be its colors.
        (noise(1, 3, 24, 32), {}, ("N", "C", "H", "W"), "values"),
        (noise(1, 3, 24, 32), {"classes": 3}, ("N", "C", "H", "W"), "scores"),
        (noise(1, 1, 24, 32), {}, ("N", "C", "H", "W"), "values"),
        (noise(1, 5, 24, 32).softmax(1), {}, ("N", "C", "H", "W"), "probabilities"),
        (noise(1, 5, 24, 32) > 0, {}, ("N", "C", "H", "W"), "mask"),
        (torch.ones(1, 24, 32, dtype=torch.int64), {}, ("N", "H", "W"), "class_map"),
        (torch.ones(1, 9, 7, dtype=torch.int64), {}, ("N", "9", "7"), "values"),
        (noise(32, 1, 11), {"batch": (1,), "classes": 11}, ("32", "N", "classes"), "scores"),
        (noise(32, 1, 11), {"batch": (1,)}, ("32", "N", "11"), "values"),
        (noise(7), {"batch": (None,)}, ("7",), "values"),
        (noise(), {"batch": (None,)}, (), "values"),
        (noise(9, 4), {"names": ("boxes",)}, ("boxes", "4"), "boxes"),
        (noise(9, 4), {"names": ("out.boxes",)}, ("boxes", "4"), "boxes"),
        (noise(1, 4), {"names": ("boxes",), "batch": (0,)}, ("N", "features"), "values"),
    ],
)
def test_axes_and_what_lies_along_them(
    output: Tensor, known: dict[str, Any], axes: tuple[str, ...], holds: str
) -> None:
    found = look(seen(output, **known), 0)
    assert (found.axes, found.holds) == (axes, holds)


def test_without_a_picture_nothing_is_a_map() -> None:
    assert is_map(seen(noise(1, 5, 24, 32)), 0)
    assert not is_map(seen(noise(1, 5, 24, 32), size=None), 0)


@pytest.mark.parametrize(
    ("rows", "columns", "yes"),
    [(24, 32, True), (12, 16, True), (3, 4, True), (24, 16, False), (25, 32, False), (1, 1, False),
     (7, 9, False)],
)  # fmt: skip
def test_a_map_has_the_pictures_sides_divided_alike(rows: int, columns: int, yes: bool) -> None:
    assert is_map(seen(noise(1, 5, rows, columns)), 0) == yes


def test_shapes_that_differ_between_samples_vary() -> None:
    one, two = noise(9, 4), noise(7, 4)
    assert look(seen(one, samples=((one,), (two,))), 0).varies
    assert not look(seen(one), 0).varies


def test_sums_and_ranges_are_of_all_samples() -> None:
    good = noise(1, 6).softmax(1)
    assert sum_to_one([good, good], 1)
    assert not sum_to_one([good, good * 1.001], 1)
    assert not sum_to_one([good, torch.cat([good[:, :1] - 1, good[:, 1:] + 0.2], 1)], 1)
    assert not sum_to_one([torch.ones(1, 1)], 1)
    assert within_one([good, good * 1.001])
    assert not within_one([good, good + 1])
    assert not within_one([good, -good])
    assert not within_one([torch.ones(2, dtype=torch.int64)])


def test_the_last_word_of_a_name() -> None:
    assert [last_word(name) for name in ("boxes", "output_0.boxes")] == ["boxes", "boxes"]
