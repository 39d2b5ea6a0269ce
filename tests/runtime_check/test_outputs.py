from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch

from runtime_check.outputs import absent, flatten, named


def test_tensors_come_in_order_whatever_holds_them() -> None:
    one, two, three, four = (torch.full((2,), float(n)) for n in range(4))
    nested = OrderedDict(b=one, a=(two, [three, {"z": four}]))
    assert [t.tolist() for t in flatten(nested)] == [[n, n] for n in (0.0, 1.0, 2.0, 3.0)]
    assert flatten(one)[0] is one
    assert flatten(()) == []


def test_quantized_tensors_are_dequantized() -> None:
    (plain,) = flatten(torch.quantize_per_tensor(torch.tensor([0.5]), 0.25, 0, torch.quint8))
    assert plain.dtype == torch.float32
    assert plain.item() == 0.5


def test_anything_else_is_named() -> None:
    with pytest.raises(TypeError, match="forward returns a NoneType; it has to return tensors"):
        flatten(None)
    with pytest.raises(TypeError, match="forward returns a str"):
        flatten((torch.zeros(1), "scores"))


class Pair(NamedTuple):
    scores: torch.Tensor | None
    boxes: torch.Tensor | None


def test_a_none_among_outputs_is_left_out_by_name() -> None:
    one = torch.ones(1)
    value = {"main": one, "aux": None, "pair": Pair(one, None), "list": [None, one, (None,)]}
    assert len(flatten(value)) == 3
    # By the names that they would have as tensors.
    assert absent(value) == ["aux", "pair.boxes", "list.0", "list.2.0"]
    there = {"main": one, "aux": one, "pair": Pair(one, one), "list": [one, one, (one,)]}
    assert set(absent(value)) < {name for name, _ in named(there)}
    assert absent((None, one, [None])) == ["output_0", "output_2.0"]
    assert absent(one) == absent((one, one)) == []


def names_of(value: Any) -> list[str]:
    return [name for name, _ in named(value)]


@dataclass
class Found:
    scores: torch.Tensor
    boxes: torch.Tensor | None = None


def test_a_tensor_has_the_name_of_its_place() -> None:
    one, two = torch.zeros(1), torch.ones(1)
    assert names_of(one) == ["output_0"]
    assert names_of((one, two)) == names_of([one, two]) == ["output_0", "output_1"]
    assert names_of({"out": one, "aux": two}) == ["out", "aux"]
    assert names_of({7: one}) == ["7"]
    assert names_of(Pair(one, two)) == ["scores", "boxes"]
    assert names_of(Found(one, two)) == ["scores", "boxes"]
    assert names_of(()) == names_of({}) == []
    # A place keeps its name where others are left out.
    assert names_of((None, one)) == ["output_1"]
    assert names_of(Found(one)) == ["scores"]


def test_inside_of_another_container_the_names_are_joined() -> None:
    one, two, three, four = (torch.full((1,), float(n)) for n in range(4))
    value = {"pair": Pair(one, two), "levels": [three, {"deep": (four,)}]}
    assert names_of(value) == ["pair.scores", "pair.boxes", "levels.0", "levels.1.deep.0"]
    assert [tensor.item() for _, tensor in named(value)] == [0.0, 1.0, 2.0, 3.0]
    assert names_of((one, [two, three])) == ["output_0", "output_1.0", "output_1.1"]
    assert names_of([Found(one, two), {"x": three}]) == [
        "output_0.scores", "output_0.boxes", "output_1.x"
    ]  # fmt: skip


def test_named_tensors_are_those_of_flatten() -> None:
    quantized = torch.quantize_per_tensor(torch.tensor([0.5]), 0.25, 0, torch.quint8)
    for value in (quantized, {"a": quantized}):
        ((_, tensor),) = named(value)
        assert (tensor.dtype, tensor.item()) == (torch.float32, 0.5)
    # A dataclass itself is no value of one.
    for wrong in (Found, {"a": 3.0}, [Found]):
        with pytest.raises(TypeError, match="it has to return tensors"):
            named(wrong)
