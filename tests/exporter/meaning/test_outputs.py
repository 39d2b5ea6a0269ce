"""Meanings in the contract's words."""

from __future__ import annotations

import torch

from exporter.meaning.infer import infer
from exporter.meaning.outputs import Asked

from .seen import noise, seen


def test_a_map_of_classes_is_described_as_the_file_gives_it() -> None:
    meaning = infer(seen(noise(1, 5, 24, 32)), Asked(output="class_map"), is_image=True)
    given = torch.zeros(60, 80, dtype=torch.uint8)
    output = meaning.described([given], None, "network")
    (tensor,) = output.tensors
    assert (tensor.axes, tensor.shape, tensor.dtype) == (["H", "W"], [60, 80], "uint8")
    assert (tensor.holds, tensor.space, tensor.varies) == ("class_map", "photo", True)
    assert output.returned == "tensor"


def test_several_outputs_are_a_list_and_only_pictures_lie_somewhere() -> None:
    given = seen(noise(1, 5, 24, 32), noise(1, 8), names=("mask", "area"))
    meaning = infer(given, Asked(), is_image=True)
    output = meaning.described([noise(5, 24, 32), noise(8)], ["a"] * 5, "network")
    assert output.returned == "list"
    assert [(t.name, t.axes, t.space) for t in output.tensors] == [
        ("mask", ["C", "H", "W"], "network"),
        ("area", ["features"], None),
    ]
    assert output.labels == ["a"] * 5


def test_points_lie_on_what_the_network_sees() -> None:
    given = seen(noise(1, 17, 3), noise(1, 17), names=("points", "areas"))
    meaning = infer(given, Asked(task="keypoint-detection"), is_image=True)
    output = meaning.described([noise(17, 3), noise(17)], None, "network")
    assert [(t.name, t.holds, t.space) for t in output.tensors] == [
        ("points", "keypoints", "network"),
        ("areas", "values", None),
    ]


def test_what_is_returned_is_said_in_a_line() -> None:
    given = seen(*(noise(1, n) for n in range(2, 8)))
    assert given.shapes() == (
        "output_0 [1, 2], output_1 [1, 3], output_2 [1, 4], output_3 [1, 5], ..."
    )
