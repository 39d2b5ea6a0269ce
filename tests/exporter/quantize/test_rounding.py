"""Compensated rounding: inputs as the layer reads them, less output error, codes that convert."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from exporter.quantize.apply import quantize
from exporter.quantize.calibrate import _settle_grids, calibrate
from exporter.quantize.convert import convert
from exporter.quantize.engine import quantized_engine
from exporter.quantize.evaluate import judge, run
from exporter.quantize.place import simulate_int8
from exporter.quantize.weights import InputMoments, compensated_codes, nearest_codes, weight_scales
from exporter.recipes import RECIPES


@st.composite
def layers(draw):
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
def test_the_moments_are_those_of_what_the_layer_reads(drawn):
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
def test_the_error_of_the_outputs_never_grows(drawn, per_channel):
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


def test_it_pays_where_inputs_go_together():
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


def test_wide_layers_are_rounded_in_blocks():
    torch.manual_seed(0)
    layer = nn.Conv2d(2500, 4, 1)
    x = torch.randn(1, 2500, 5, 8) + torch.randn(1, 1, 5, 8)
    moments = moments_of(layer, x)
    assert [tuple(b.shape) for b in moments.blocks] == [(1, 1024, 1024)] * 2 + [(1, 452, 452)]
    scales = weight_scales(layer.weight, True, search=True)
    assert compensated_codes(layer, scales, moments).shape == layer.weight.shape


def test_inputs_without_power_or_beyond_float_fall_back_to_the_nearest_codes():
    layer = nn.Conv2d(6, 3, 1)
    scales = weight_scales(layer.weight, True)
    nearest = nearest_codes(layer.weight, scales)
    for x in (torch.zeros(1, 6, 2, 2), torch.full((1, 6, 2, 2), 1e30)):
        assert torch.equal(compensated_codes(layer, scales, moments_of(layer, x)), nearest)


def test_a_long_calibration_is_cut_off():
    layer = nn.Conv2d(4, 4, 1)
    moments = InputMoments()
    for _ in range(35):
        moments.add(layer, torch.rand(2, 4, 50, 60))
    assert moments.rows == 64 * 1024


def test_conversion_keeps_the_codes(lite0):
    """What was simulated is what is packed: not rounded anew."""
    name = "blocks.0.0.conv_dw"
    recipe = replace(RECIPES["static-xnnpack"], rounding="compensated")
    simulated = simulate_int8(lite0.model, recipe, example=lite0.example)
    calibrate(simulated, lite0.calibration[:1])
    layer = simulated.layers[name]
    plain = nearest_codes(layer.layer.weight, layer.scales)
    with quantized_engine():
        packed = convert(simulated).get_submodule(name).kernel.weight().int_repr()
    settled = (layer.int8_weight() / layer.scales.view(-1, 1, 1, 1)).round()
    assert torch.equal(packed, settled.to(torch.int8))
    assert not torch.equal(packed, plain)


def test_it_serves_efficientnet_lite0(lite0):
    """Real weights whose depthwise convolutions hang on their rounding: at least 1 dB better."""
    found = []
    for rounding in ("nearest", "compensated"):
        recipe = replace(RECIPES["static-xnnpack"], rounding=rounding, observer="histogram")
        made = quantize(
            lite0.model,
            recipe,
            lite0.images,
        )
        with quantized_engine():
            outputs = run(made.module, lite0.measured)
        found.append(judge(run(lite0.model, lite0.measured), outputs).sqnr_db)
    assert found[1] > found[0] + 1.0, found


@pytest.mark.parametrize("better", ["compensated", "nearest"])
def test_auto_keeps_what_leaves_less_noise(monkeypatch, better):
    """Measured, not believed: codes that are worse for the network are not taken."""
    if better == "nearest":

        def worst(layer, scales, moments):
            return -nearest_codes(layer.weight, scales)

        monkeypatch.setattr("exporter.quantize.layers.compensated_codes", worst)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(64, 32, 1), nn.Sigmoid(), nn.Conv2d(32, 4, 1)).eval()
    images = (torch.randn(8, 400, 8) @ torch.randn(8, 64)).mT.reshape(8, 64, 20, 20)
    recipe = replace(RECIPES["static-xnnpack"], observer="minmax")
    simulated = simulate_int8(model, recipe, example=images[:1])
    calibrate(simulated, [images])
    assert any(better in note for note in simulated.notes), simulated.notes
    layer = simulated.layers["0"]
    taken = layer.int8_weight()
    layer.round_to(better)
    assert torch.equal(layer.int8_weight(), taken)
    layer.round_to("nearest" if better == "compensated" else "compensated")
    assert not torch.equal(layer.int8_weight(), taken)


def test_ranges_and_rounding_are_chosen_together(fashion, monkeypatch):
    """One makes up for the other: chosen one after the other they can miss the best pair."""
    monkeypatch.setattr("exporter.quantize.calibrate._correct_means", lambda *_: None)
    recipe = RECIPES["static-xnnpack"]
    simulated = simulate_int8(fashion.model, recipe, example=fashion.example)
    calibrate(simulated, fashion.calibration)
    reference = run(simulated.module, fashion.calibration)

    def noise() -> float:
        simulated.simulate(simulated.layers)
        return float((run(simulated.module, fashion.calibration) - reference).square().sum())

    chosen = noise()
    others = []
    for clipping in ("observer", "none", "mild"):
        for rounding in ("compensated", "nearest"):
            for layer in simulated.layers.values():
                layer.clipping = clipping
                if layer.roundings:
                    layer.round_to(rounding)
            _settle_grids(simulated)
            others.append(noise())
    assert chosen == pytest.approx(min(others), rel=1e-5)
    assert max(others) > 1.1 * chosen
