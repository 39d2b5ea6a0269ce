"""The shipped module in eager Python and in TorchScript, against what is written out here."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from exporter.errors import CaptureError
from exporter.meaning.infer import infer
from exporter.meaning.outputs import Asked, Meaning
from exporter.outputs import paths
from exporter.whole import Whole, finish, scripted
from runtime_check.outputs import flatten

from .meaning.seen import seen


class Dict(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"z": x.sum(1), "a": x > 0}


class Tuple(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.sum(1), x > 0


class Nested(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
        return x, {"b": x * 2}, [x * 3, x * 4]


def meaning_of(module: nn.Module, x: Tensor) -> Meaning:
    outputs = flatten(module(x))
    names = tuple(f"o{i}" for i in range(len(outputs)))
    return infer(seen(*outputs, names=names), Asked(), is_image=False)


@pytest.mark.parametrize("kind", [Dict, Tuple, Nested])
def test_outputs_come_as_a_list_in_their_order(kind: type[nn.Module]) -> None:
    module, x = kind().eval(), torch.tensor([[1.0, -2.0, 3.0]])
    meaning = meaning_of(module, x)
    wanted = {
        Dict: [[2.0], [[1, 0, 1]]],
        Tuple: [[2.0], [[1, 0, 1]]],
        Nested: [x.tolist(), (2 * x).tolist(), (3 * x).tolist(), (4 * x).tolist()],
    }[kind]
    whole = scripted(torch.jit.script(module), meaning, None, arguments=1, paths=paths(module(x)))
    for made in (whole, Whole(None, module, meaning)):
        got: Any = made(x)
        assert isinstance(got, list)
        assert [t.tolist() for t in got] == wanted
        assert not any(t.dtype == torch.bool for t in got), "no phone's Java reads bools"


def test_what_is_as_it_should_be_is_left_alone() -> None:
    network = torch.jit.script(nn.Linear(3, 2).eval())
    meaning = meaning_of(network, torch.zeros(1, 3))
    assert scripted(network, meaning, None, arguments=1, paths=[()]) is network


class Maybe(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor | None]:
        return {"a": x, "b": None}


def test_outputs_that_cannot_be_reached_refuse_the_capture() -> None:
    x = torch.ones(1, 3)
    meaning = meaning_of(Tuple(), x)
    network = torch.jit.script(Dict().eval())
    with pytest.raises(CaptureError, match="cannot be reached one by one"):
        scripted(network, meaning, None, arguments=1, paths=[(0,), (1,)])


def test_finishing_is_by_the_steps_alone() -> None:
    given = seen(torch.tensor([[1.0, 2.0, 4.0]]), classes=3)
    x = given.first
    softmax = infer(given, Asked(), is_image=True)
    (done,) = finish(softmax, x, torch.zeros(8, 8, 3), None)
    e = torch.tensor([1.0, 2.0, 4.0]).exp()
    torch.testing.assert_close(done, e / e.sum())
    unit = infer(given, Asked(task="image-feature-extraction", output="normalized"), is_image=False)
    (done,) = finish(unit, x, x[0], None)
    torch.testing.assert_close(done, torch.tensor([[1.0, 2.0, 4.0]]) / 21**0.5)
