"""Editing an exported program leaves it one: shapes known, signature kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from exporter.executorch.graph import Editor, aten, calls, constant, replace, static_shape, tidy


class Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(6.0).view(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.weight).relu()


def test_a_new_call_knows_its_shape_and_the_program_runs_on() -> None:
    exported = torch.export.export(Sum(), (torch.randn(2, 3),))
    (relu,) = calls(exported, aten.relu.default)
    new = Editor(exported.graph, relu)(aten.neg.default, relu.args[0])
    assert static_shape(new) == (2, 3)
    assert new.meta["val"].dtype == torch.float32
    replace(relu, new)
    tidy(exported)
    assert calls(exported, aten.relu.default) == []
    x = torch.randn(2, 3)
    assert torch.equal(exported.module()(x), -(x + torch.arange(6.0).view(2, 3)))
    assert [*exported.state_dict] == ["weight"]


def test_a_size_that_is_not_known_has_no_static_shape() -> None:
    rows = torch.export.Dim("rows", min=2, max=9)
    exported = torch.export.export(
        nn.ReLU(), (torch.randn(4, 3),), dynamic_shapes={"input": {0: rows}}
    )
    (relu,) = calls(exported, aten.relu.default)
    assert static_shape(relu) is None
    assert static_shape(3) is None


def test_what_nothing_reads_goes() -> None:
    exported = torch.export.export(Sum(), (torch.randn(2, 3),))
    (relu,) = calls(exported, aten.relu.default)
    Editor(exported.graph, relu)(aten.neg.default, relu.args[0])
    assert len(calls(exported, aten.neg.default)) == 1
    tidy(exported)
    assert calls(exported, aten.neg.default) == []


def test_a_constant_is_added_once_and_is_no_input() -> None:
    exported = torch.export.export(Sum(), (torch.randn(2, 3),))
    (relu,) = calls(exported, aten.relu.default)
    seven = constant(exported, "seven", torch.tensor([7.0]))
    assert constant(exported, "seven", torch.tensor([8.0])) is seven
    replace(relu, Editor(exported.graph, relu)(aten.mul.Tensor, relu.args[0], seven))
    tidy(exported)
    x = torch.randn(2, 3)
    assert torch.equal(exported.module()(x), 7.0 * (x + torch.arange(6.0).view(2, 3)))
    assert exported.graph_signature.user_inputs == ("x",)
