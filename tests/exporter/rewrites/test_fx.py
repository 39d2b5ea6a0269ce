"""Looking at traced networks: shapes, arguments, readers."""

from __future__ import annotations

import operator

import pytest
import torch
from torch import Tensor, fx, nn

from exporter.rewrites.fx import (
    argument,
    calls_function,
    calls_method,
    give_own_module,
    module_of,
    observe,
    only_user,
    replace_argument,
    replace_node,
    takes_softmax,
    tensor_of,
    tidy,
)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.gamma = nn.Parameter(torch.rand(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(self.linear(x)) * self.gamma
        return torch.softmax(y, dim=-1).softmax(-1)


def node_called(graph: fx.GraphModule, name: str) -> fx.Node:
    (node,) = [n for n in graph.graph.nodes if n.name == name]
    return node


def test_nodes_are_told_by_what_they_call() -> None:
    graph = fx.symbolic_trace(Net())
    linear, mul = node_called(graph, "linear"), node_called(graph, "mul")
    gamma, softmax = node_called(graph, "gamma"), node_called(graph, "softmax")
    assert module_of(graph, linear) is graph.get_submodule("linear")
    assert module_of(graph, mul) is module_of(graph, None) is None
    assert tensor_of(graph, gamma) is graph.get_parameter("gamma")
    assert tensor_of(graph, mul) is None
    assert calls_function(mul, (operator.mul,))
    assert not calls_method(mul, "mul")
    assert calls_method(node_called(graph, "softmax_1"), "softmax", "relu")
    assert takes_softmax(softmax)
    assert takes_softmax(node_called(graph, "softmax_1"))
    assert argument(softmax, 1, "dim") == argument(node_called(graph, "softmax_1"), 1, "dim") == -1
    assert argument(mul, 5, "alpha", 1) == 1
    assert only_user(linear) is node_called(graph, "linear_1")


def test_a_value_read_twice_has_no_only_user() -> None:
    graph = fx.symbolic_trace(lambda x: (x + 1, x + 2))  # type: ignore[arg-type]
    assert only_user(node_called(graph, "x")) is None
    assert only_user(None) is None


def test_one_run_gives_shapes_on_a_doubled_batch() -> None:
    graph = fx.symbolic_trace(Net())
    values = observe(graph, torch.randn(1, 4))
    assert values.shapes[node_called(graph, "mul")] == (2, 4)
    assert not values.nothing
    assert not values.same


def test_a_graph_that_takes_one_batch_alone_is_observed_on_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Fixed(Net):
        def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
            return super().forward(x).reshape(1, 4) * scale

    graph = fx.symbolic_trace(Fixed())
    for scale in (torch.tensor(2.0), torch.ones(1, 1)):
        values = observe(graph, (torch.randn(1, 4), scale))
        assert values.shapes[node_called(graph, "mul")] == (1, 4)
    assert capfd.readouterr() == ("", "")


def test_a_layer_called_twice_is_changed_for_one_call_alone() -> None:
    net, x = Net().eval(), torch.randn(1, 4)
    graph = fx.symbolic_trace(net)
    give_own_module(graph, node_called(graph, "linear_1"), "scaled", nn.Identity())
    tidy(graph)
    expected = (net.linear(x) * net.gamma).softmax(-1).softmax(-1)
    assert torch.equal(graph(x), expected)


def test_nodes_and_arguments_are_replaced() -> None:
    graph = fx.symbolic_trace(Net())
    mul, gamma = node_called(graph, "mul"), node_called(graph, "gamma")
    replace_argument(mul, gamma, 2.0)
    assert mul.args[1] == 2.0
    replace_node(graph, mul, node_called(graph, "linear_1"))
    tidy(graph)
    assert "gamma" not in graph.code
    assert "mul" not in graph.code
