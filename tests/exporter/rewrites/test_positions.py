"""The class token's position is added once, not in every inference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx, nn

from exporter.rewrites.positions import fold_positions
from exporter.rewrites.trace import trace

from .nets import rewritten, small_vit


def test_the_class_token_is_folded_with_its_position() -> None:
    result = rewritten(small_vit())
    assert result.effects["fold-positions"].count == 1
    assert isinstance(result.module, fx.GraphModule)
    assert "cls_token" not in result.module.code
    assert "pos_embed" not in result.module.code


class Tokens(nn.Module):
    """A learned token in front of patches (or behind them), and learned positions."""

    def __init__(self, *, first: bool = True, batch: int = 1) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 3))
        self.places = nn.Parameter(torch.randn(batch, 17, 3))
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        patches = x.flatten(2).transpose(1, 2)
        token = self.token.expand(x.shape[0], -1, -1)
        parts = [token, patches] if self.first else [patches, token]
        return torch.cat(parts, 1) + self.places


def test_both_forms_compute_the_same_on_any_batch() -> None:
    torch.manual_seed(0)
    module, x = Tokens().eval(), torch.randn(3, 3, 4, 4)
    graph, _ = trace(module, x[:1])
    assert fold_positions(graph, x[:1]) == 1
    assert torch.allclose(graph(x), module(x))


@pytest.mark.parametrize("options", [{"first": False}, {"batch": 2}])
def test_other_arrangements_are_left_alone(options: dict[str, int]) -> None:
    graph = fx.symbolic_trace(Tokens(**options))  # type: ignore[arg-type]
    assert fold_positions(graph, torch.randn(1, 3, 4, 4)) == 0
