from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import pytest
import torch

from runtime_check.outputs import absent, flatten


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
    assert absent(value) == ["aux", "pair.boxes", "list.output_0", "list.output_2.output_0"]
    assert absent(one) == absent((one, one)) == []
