"""Constant factors move into the linear layers before them."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from exporter.rewrites.scales import find_layer_scales, fold_layer_scales
from exporter.rewrites.trace import trace

from .nets import rewritten, small_vit


def test_layer_scale_and_attention_scale_are_folded() -> None:
    result = rewritten(small_vit(init_values=0.3))
    assert result.effects["fold-scales"].count == 2
    assert result.effects["fold-layer-scales"].count == 4  # two in each of two blocks
    assert isinstance(result.module, fx.GraphModule)
    assert "gamma" not in result.module.code
    assert "* 0.25" not in result.module.code


class Scaled(nn.Module):
    """A Linear and a factor per channel; `again` reads the Linear's output as it is, too."""

    def __init__(self, *, again: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 12)
        self.gamma = nn.Parameter(torch.rand(12))
        self.again = again

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        scaled = self.gamma * y
        return (scaled + y if self.again else scaled).mean((1, 2))


def test_a_factor_on_either_side_is_found_and_folded() -> None:
    torch.manual_seed(0)
    module, x = Scaled(again=False).eval(), torch.randn(1, 3, 4, 12)
    graph, _ = trace(module, x)
    (scale,) = find_layer_scales(graph)
    assert scale.gamma == "gamma"
    assert fold_layer_scales(graph, x) == 1
    assert torch.allclose(graph(x), module(x), atol=1e-6)
    assert module.linear.weight is not graph.get_submodule("linear").weight


def test_a_value_read_twice_is_not_folded() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 4, 12)
    graph, _ = trace(Scaled(again=True).eval(), x)
    assert fold_layer_scales(graph, x) == 0
