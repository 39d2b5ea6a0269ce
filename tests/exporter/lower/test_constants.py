"""The order of constants: whatever torch's passes left, one order remains."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from exporter.lower.constants import order_constants

LINES = {
    "one": "%one : int = prim::Constant[value=1]()",
    "two": "%two : int = prim::Constant[value=2]()",
    "half": "%half : float = prim::Constant[value=0.5]()",
    "yes": "%yes : bool = prim::Constant[value=1]()",
}


def graph_with(order: tuple[str, ...]) -> torch.Graph:
    constants = "\n".join(f"  {LINES[name]}" for name in order)
    return torch._C.parse_ir(f"""
graph(%x : Tensor):
{constants}
  %scaled : Tensor = aten::mul(%x, %half)
  %dim : int = aten::dim(%scaled)
  %out : Tensor = prim::If(%yes)
    block0():
      %shifted : Tensor = aten::add(%scaled, %two, %one)
      -> (%shifted)
    block1():
      -> (%scaled)
  return (%out)
""")


def constants_of(graph: torch.Graph) -> list[object]:
    return [n.output().toIValue() for n in graph.nodes() if n.kind() == "prim::Constant"]


@pytest.mark.parametrize("order", [*itertools.permutations(LINES)][::5])
def test_constants_come_in_the_order_of_their_first_use(order: tuple[str, ...]) -> None:
    graph = graph_with(order)
    order_constants(graph)
    graph.lint()
    assert constants_of(graph) == [0.5, True, 2, 1]


def test_what_is_computed_stays() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(4 * 36, 3)).eval()
    x = torch.randn(1, 3, 8, 8)
    frozen = torch.jit.freeze(torch.jit.trace(net, x))
    before = frozen(x)
    order_constants(frozen.graph)
    frozen.graph.lint()
    assert torch.equal(frozen(x), before)


def test_a_graph_without_calls_is_left_alone() -> None:
    graph = torch._C.parse_ir("graph(%x : Tensor):\n  return (%x)")
    order_constants(graph)
    assert not [*graph.nodes()]
