"""What is plain, and copies of layers with other weights."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from exporter.rewrites.layers import (
    is_plain_conv,
    is_plain_linear,
    part_of,
    scaled_outputs,
    takes_factors,
    with_weights,
)


class OwnForward(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


class OwnConvolution(nn.Conv2d):
    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(x, weight * 2, bias)


@pytest.mark.parametrize(
    ("layer", "conv", "linear", "factors"),
    [
        (nn.Conv2d(3, 4, 3), True, False, True),
        (nn.Conv2d(3, 4, 3, padding_mode="reflect", padding=1), False, False, True),
        (nn.Conv2d(3, 4, 3, padding="same"), False, False, True),
        (OwnConvolution(3, 4, 3), False, False, False),
        (timm.layers.StdConv2d(3, 4, 3), False, False, False),
        (nn.ConvTranspose2d(3, 4, 3), False, False, False),
        (nn.Conv1d(3, 4, 3), False, False, True),
        (nn.Linear(3, 4), False, True, True),
        (timm.layers.Linear(3, 4), False, True, True),
        (OwnForward(3, 4), False, False, False),
        (parametrizations.weight_norm(nn.Linear(3, 4)), False, False, False),
        (parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), False, False, False),
        (nn.ReLU(), False, False, False),
        (None, False, False, False),
    ],
)
def test_one_rule_says_what_is_plain(
    layer: nn.Module | None, conv: bool, linear: bool, factors: bool
) -> None:
    assert is_plain_conv(layer) == conv
    assert is_plain_linear(layer) == linear
    assert takes_factors(layer) == factors


def test_other_weights_leave_the_layer_as_it_was() -> None:
    layer = nn.Linear(3, 2, bias=False)
    kept = layer.weight.clone()
    new = with_weights(layer, torch.ones(2, 3, dtype=torch.float64), torch.ones(2))
    assert layer.bias is None
    assert torch.equal(layer.weight, kept)
    assert new.weight.dtype == torch.float32
    assert torch.equal(new(torch.ones(1, 3)), torch.full((1, 2), 4.0))
    assert not new.weight.requires_grad


@pytest.mark.parametrize("layer", [nn.Linear(3, 2), nn.Conv2d(3, 2, 1, bias=False)])
def test_outputs_are_scaled(layer: nn.Linear | nn.Conv2d) -> None:
    x = torch.randn(1, 3) if isinstance(layer, nn.Linear) else torch.randn(1, 3, 1, 1)
    factors = torch.tensor([2.0, -0.5])
    expected = layer(x) * factors.view(1, 2, *[1] * (x.dim() - 2))
    assert torch.allclose(scaled_outputs(layer, factors)(x), expected)


def test_a_part_reads_the_same_weights() -> None:
    layer, x = nn.Linear(6, 4), torch.randn(2, 6)
    part = part_of(layer, slice(1, 3), slice(0, 6), bias=True)
    assert torch.allclose(part(x), layer(x)[:, 1:3])
    without = part_of(layer, slice(0, 4), slice(2, 5), bias=False)
    assert torch.allclose(without(x[:, 2:5]), x[:, 2:5] @ layer.weight[:, 2:5].T)
    pointer = layer.weight.untyped_storage().data_ptr()
    assert part.get_parameter("weight").untyped_storage().data_ptr() == pointer
