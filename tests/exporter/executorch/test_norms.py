"""Norms that XNNPACK takes are those of torch, also where the mean is far from zero."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.executorch.delegable import rewrite_program
from exporter.executorch.norms import plain_group_norms, plain_layer_norms

from .programs import left_outside, lowered, run


class Norms(nn.Module):
    """Two LayerNorms of one width, one without weights, and one over two dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(24, eps=1e-3), nn.LayerNorm(24, bias=False)
        for parameter in self.parameters():
            nn.init.normal_(parameter, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x).exp())
        return functional.layer_norm(y, (24,)) + functional.layer_norm(y, (7, 24))


def test_layer_norms_are_taken() -> None:
    module, x = Norms().eval(), 3.0 * torch.randn(2, 7, 24) + 5.0
    exported = torch.export.export(module, (x,))
    assert plain_layer_norms(exported) == 4
    assert [n for n in exported.state_dict if "." not in n] == ["mean_of_24", "mean_of_7"]
    with torch.no_grad():
        expected = module(x)
    torch.testing.assert_close(exported.module()(x), expected, rtol=1e-4, atol=1e-5)
    program = lowered(module, x, plain_layer_norms)
    assert left_outside(program) == []
    torch.testing.assert_close(run(program, [x])[0], expected, rtol=1e-4, atol=1e-5)


def _by_hand(x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """GroupNorm in float64, spelled out."""
    x = x.double()
    parts = x.reshape(x.shape[0], groups, -1)
    spread = (parts - parts.mean(-1, keepdim=True)).square().mean(-1, keepdim=True)
    out = ((parts - parts.mean(-1, keepdim=True)) / (spread + 1e-5).sqrt()).reshape(x.shape)
    channels = (1, -1, *(1 for _ in x.shape[2:]))
    out = out if weight is None else out * weight.double().reshape(channels)
    return out if bias is None else out + bias.double().reshape(channels)


@pytest.mark.parametrize(
    ("norm", "groups"),
    [
        (nn.GroupNorm(1, 8), 1),
        (nn.GroupNorm(4, 8), 4),
        (nn.GroupNorm(8, 8, affine=False), 8),
        (nn.InstanceNorm2d(8), 8),
        (nn.InstanceNorm2d(8, affine=True), 8),
    ],
)
def test_group_norms_keep_their_digits(norm: nn.Module, groups: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for parameter in norm.parameters():
        nn.init.uniform_(parameter, 0.5, 2.0, generator=generator)
    x = torch.randn(2, 8, 28, 31, generator=generator) + 20.0  # 16 bits of the squares cancel
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    expected = _by_hand(x, groups, weight, bias)
    assert plain_group_norms(torch.export.export(norm.eval(), (x,))) == 1
    program = lowered(norm, x, rewrite_program)
    assert left_outside(program) == []
    found = run(program, [x])[0].double()
    assert float((found - expected).detach().abs().max()) < 2e-5


def test_kept_statistics_stay() -> None:
    norm = nn.InstanceNorm2d(4, track_running_stats=True).eval()
    assert plain_group_norms(torch.export.export(norm, (torch.randn(1, 4, 6, 6),))) == 0
