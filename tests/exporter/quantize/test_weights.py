"""Weights in int8: scales, and codes of least error in a layer's outputs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from exporter.quantize.weights import InputMoments, compensated_codes, nearest_codes, weight_scales


@st.composite
def layers(draw: st.DrawFn) -> tuple[nn.Conv2d, Tensor]:
    """A Conv2d of any geometry, with inputs that go together."""
    layer = nn.Conv2d(
        4,
        8,
        draw(st.sampled_from((1, 3, (1, 3), 5))),
        stride=draw(st.integers(1, 2)),
        padding=draw(st.integers(0, 2)),
        dilation=draw(st.integers(1, 2)),
        groups=draw(st.sampled_from((1, 2, 4))),
    )
    base = torch.rand(2, 4, 11, 12)
    return layer, base + base.mean(1, keepdim=True)


def moments_of(layer: nn.Module, x: torch.Tensor) -> InputMoments:
    moments = InputMoments()
    moments.add(layer, x)
    return moments


@given(layers())
def test_the_moments_are_those_of_what_the_layer_reads(drawn: tuple[nn.Conv2d, Tensor]) -> None:
    """w M w^T is the squared output of the layer with weights w, whatever its geometry."""
    layer, x = drawn
    moments = moments_of(layer, x)
    with torch.no_grad():
        layer.bias.zero_()
        expected = layer(x).double().square().sum()
        wide = layer.weight.detach().reshape(layer.groups, 8 // layer.groups, -1)
        power = ((wide @ moments.blocks[0]) * wide).double().sum()
    assert float(power) == pytest.approx(float(expected), rel=1e-3)


@given(layers(), st.booleans())
def test_the_error_of_the_outputs_never_grows(
    drawn: tuple[nn.Conv2d, Tensor], per_channel: bool
) -> None:
    layer, x = drawn
    scales = weight_scales(layer.weight, per_channel, search=True)
    by_output = scales.view(-1, *(1,) * (layer.weight.dim() - 1))
    codes = compensated_codes(layer, scales, moments_of(layer, x))
    assert codes.dtype == torch.int8
    assert int(codes.min()) >= -127  # -128 is XNNPACK's forbidden code
    errors = []
    with torch.no_grad():
        right = layer(x)
        exact = layer.weight.clone()
        for candidate in (codes, nearest_codes(exact, scales)):
            layer.weight.copy_(candidate * by_output)
            errors.append(float((layer(x) - right).double().square().sum()))
    assert errors[0] <= errors[1] * 1.001 + 1e-9


def test_it_pays_where_inputs_go_together() -> None:
    """A quarter of the error, at most, is left with 64 inputs that hang on 8 causes."""
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 32, 1)
    flat = torch.randn(512, 8) @ torch.randn(8, 64)
    x = flat.T[None, :, :, None]
    scales = weight_scales(layer.weight, True, search=True)
    exact = layer.weight.detach().clone()
    errors = [
        float(((codes.flatten(1) * scales[:, None] - exact.flatten(1)) @ flat.T).square().sum())
        for codes in (
            compensated_codes(layer, scales, moments_of(layer, x)),
            nearest_codes(exact, scales),
        )
    ]
    assert errors[0] < errors[1] / 4


def test_wide_layers_are_rounded_in_blocks() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2500, 4, 1)
    x = torch.randn(1, 2500, 5, 8) + torch.randn(1, 1, 5, 8)
    moments = moments_of(layer, x)
    assert [tuple(b.shape) for b in moments.blocks] == [(1, 1024, 1024)] * 2 + [(1, 452, 452)]
    scales = weight_scales(layer.weight, True, search=True)
    assert compensated_codes(layer, scales, moments).shape == layer.weight.shape


def test_inputs_without_power_or_beyond_float_fall_back_to_the_nearest_codes() -> None:
    layer = nn.Conv2d(6, 3, 1)
    scales = weight_scales(layer.weight, True)
    nearest = nearest_codes(layer.weight, scales)
    for x in (torch.zeros(1, 6, 2, 2), torch.full((1, 6, 2, 2), 1e30)):
        assert torch.equal(compensated_codes(layer, scales, moments_of(layer, x)), nearest)


def test_a_long_calibration_is_cut_off() -> None:
    layer = nn.Conv2d(4, 4, 1)
    moments = InputMoments()
    for _ in range(35):
        moments.add(layer, torch.rand(2, 4, 50, 60))
    assert moments.rows == 64 * 1024


def test_weight_scale_search_never_does_worse() -> None:
    weight = torch.randn(8, 3, 3, 3)
    weight[0, 0, 0, 0] = 9.0

    def error(scales: Tensor) -> Tensor:
        grid = scales.view(-1, 1, 1, 1)
        return ((weight / grid).round().clamp(-127, 127) * grid - weight).square().flatten(1).sum(1)

    plain = error(weight_scales(weight, True))
    assert (error(weight_scales(weight, True, search=True)) <= plain).all()
