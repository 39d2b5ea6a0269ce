"""Symbolic tracing: graphs that compute what the module computes, leaves where it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from exporter.errors import Untraceable
from exporter.rewrites.trace import trace


class Specialized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.register_buffer("seen", torch.zeros(1, 3, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        # Code that behaves otherwise under a trace, as batch-dependent code does.
        if isinstance(x, torch.fx.Proxy):
            return self.conv(x + self.seen)
        return self.conv(x) + 1.0


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Around(nn.Module):
    """Traceable code around a module that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.branch = Branching()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.branch(nn.functional.relu6(self.conv(x)))).relu()


def test_a_graph_that_computes_something_else_is_refused() -> None:
    with pytest.raises(Untraceable, match="computes something else"):
        trace(Specialized().eval(), torch.randn(1, 3, 8, 8))


def test_a_module_that_branches_itself_is_refused_and_named() -> None:
    with pytest.raises(Untraceable, match=r"\(FX\) fails on Branching: "):
        trace(Branching().eval(), torch.randn(1, 3, 8, 8))


def test_a_submodule_that_cannot_be_traced_becomes_a_leaf() -> None:
    module, x = Around().eval(), torch.randn(2, 3, 8, 8)
    graph, leaves = trace(module, x)
    assert leaves == ("branch",)
    assert torch.equal(graph(x), module(x))


def test_functional_activations_become_modules() -> None:
    graph, _ = trace(Around().eval(), torch.randn(1, 3, 8, 8))
    kinds = [
        type(graph.get_submodule(str(n.target))) for n in graph.graph.nodes if n.op == "call_module"
    ]
    assert kinds == [nn.Conv2d, nn.ReLU6, Branching, nn.ReLU, nn.ReLU]


def test_a_graph_is_not_traced_again() -> None:
    graph, _ = trace(nn.Sequential(nn.Conv2d(3, 4, 1)).eval(), torch.randn(1, 3, 8, 8))
    again, leaves = trace(graph, torch.randn(1, 3, 8, 8))
    assert leaves == ()
    assert str(again.graph) == str(graph.graph)


class Positions(nn.Module):
    """Positions resized to the input's size, which symbolic tracing records as something else."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.register_buffer("pos", torch.randn(1, 8, 4, 4))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.conv(x)
        size = y.shape[-2:]
        pos = nn.functional.interpolate(self.pos, size=size, mode="bilinear", align_corners=False)
        return y, pos


def test_a_trace_that_fails_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Untraceable):
        trace(Positions().eval(), torch.randn(1, 3, 64, 64))
    assert capfd.readouterr() == ("", "")


class Fixed(nn.Module):
    """Takes one image and a number that has no batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return self.conv(x).reshape(1, 4, 64) * scale


@pytest.mark.parametrize("scale", [torch.tensor(2.0), torch.tensor([[2.0]])])
def test_a_module_that_takes_no_second_batch_size_is_compared_on_what_it_takes(
    scale: Tensor,
) -> None:
    module, x = Fixed().eval(), torch.randn(1, 3, 8, 8)
    graph, leaves = trace(module, (x, scale))
    assert leaves == ()
    assert torch.equal(graph(x, scale), module(x, scale))


def test_a_graph_of_several_inputs_that_computes_something_else_is_refused() -> None:
    class Other(Fixed):
        def forward(self, x: Tensor, scale: Tensor) -> Tensor:
            y = super().forward(x, scale)
            return y if isinstance(x, torch.fx.Proxy) else y + 1.0

    with pytest.raises(Untraceable, match=r"inputs of \(1, 3, 8, 8\), \(\)"):
        trace(Other().eval(), (torch.randn(1, 3, 8, 8), torch.tensor(2.0)))
