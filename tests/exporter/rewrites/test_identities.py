"""Calls that do nothing go, and nothing else does."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from exporter.rewrites.identities import drop_identities
from exporter.rewrites.trace import trace


def _maybe(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x + mask


def _no_mask(x: Tensor) -> Tensor | None:
    return None


fx.wrap("_maybe")
fx.wrap("_no_mask")


class Masked(nn.Module):
    """timm's attention without a mask: it asks for one, and adds it where there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.drop = nn.Dropout(0.5)
        self.same = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.same(self.drop(self.conv(x)))
        return _maybe(y, _no_mask(y)).contiguous() * 2


def test_dropout_identity_and_absent_masks_go() -> None:
    module, x = Masked().eval(), torch.randn(1, 3, 4, 4)
    graph, _ = trace(module, x)
    assert drop_identities(graph, x) == 4
    assert torch.equal(graph(x), module(x))
    names = [n.name for n in graph.graph.nodes]
    assert names == ["x", "conv", "contiguous", "mul", "output"]
    assert drop_identities(graph, x) == 0


def test_torchs_own_functions_stay() -> None:
    """`contiguous` gives back its input here and may not there."""

    class Alike(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(torch.dropout(x, 0.5, False))

    x = torch.randn(1, 3, 4, 4)
    graph = fx.symbolic_trace(Alike())
    assert drop_identities(graph, x) == 0
