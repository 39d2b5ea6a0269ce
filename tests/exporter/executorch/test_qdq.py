"""int8 written for ExecuTorch is the int8 that our quantizer decided on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from exporter.errors import QuantizeError
from exporter.executorch.delegable import rewrite_program
from exporter.executorch.qdq import (
    QdqLayer,
    RoundTrip,
    decomposed,
    own_dequantize,
    quantized_program_module,
    to_qdq,
)
from exporter.quantize.apply import QuantizeImages, quantize
from exporter.quantize.convert import convert
from exporter.quantize.describe import Quantized
from exporter.quantize.engine import quantized_engine
from exporter.quantize.ranges import Range
from exporter.quantize.step import QuantizedNetwork
from exporter.recipes import RECIPES
from runtime_check.artifact.metadata import Quantization

from ...data_sets import efficientnet_lite0
from ..quantize.conftest import crops
from ..quantize.nets import Forks, Mobile, simulated, smooth
from .programs import left_outside, lowered, run


class AllInt8(nn.Module):
    """From the first layer to the last, int8 goes straight from kernel to kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1),
            nn.ReLU6(),
            nn.Conv2d(16, 16, 3, 1, 1, groups=16),
            nn.ReLU(),
            nn.Conv2d(16, 24, 1),
            nn.Conv2d(24, 8, 5, 2, 2, dilation=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


def made_int8(model: nn.Module, name: str = "static-xnnpack", **changes: Any) -> Quantized:
    x = smooth(8, 3, 32)
    recipe = replace(RECIPES[name], **changes)
    images = QuantizeImages(example=x[:1], calibration=[x])
    return quantize(model.eval(), recipe, images)


def both(made: Quantized, module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What our int8 module gives, and what ExecuTorch gives for its pairs."""
    program = lowered(to_qdq(module), x[:1], own_dequantize)
    got = torch.cat(run(program, list(x.split(1))))
    with quantized_engine(), torch.no_grad():
        return torch.cat([made.module(image) for image in x.split(1)]), got


@pytest.mark.parametrize("scheme", ["xnnpack", "qnnpack"])
def test_a_network_all_in_int8_is_equal_to_the_bit(scheme: str) -> None:
    made = made_int8(AllInt8(), f"static-{scheme}")
    assert made.simulated is not None
    ours, theirs = both(made, made.simulated, smooth(6, 3, 32))
    assert ours.abs().max() > 0.1
    assert torch.equal(ours, theirs)


def test_fine_tuned_weights_go_the_same_way() -> None:
    made, x = simulated(AllInt8().eval(), "qat-xnnpack")
    made.watch_ranges(False)
    for layer in made.layers.values():
        layer.begin_training()
        with torch.no_grad():  # what an epoch does to the weights once their scales are chosen
            layer.layer.weight.mul_(1.0 + 0.05 * torch.randn_like(layer.layer.weight))
    made.module.requires_grad_(False)
    with quantized_engine():
        int8 = convert(made)
        ours = torch.cat([int8(image) for image in x.split(1)])
    theirs = torch.cat(run(lowered(to_qdq(made.module), x[:1], own_dequantize), list(x.split(1))))
    assert torch.equal(ours, theirs)


@pytest.mark.slow
def test_efficientnet_lite0_is_equal_to_the_bit_in_one_piece() -> None:
    calibration = crops(["rocket.jpg", "chelsea.png", "motorcycle_left.png"], 8, seed=0)
    measured = crops(["coffee.png", "astronaut.png"], 4, seed=1)
    images = QuantizeImages(example=measured[:1], calibration=list(calibration.split(4)))
    made = quantize(efficientnet_lite0().eval(), RECIPES["static-xnnpack-fx"], images)
    assert made.simulated is not None
    program = lowered(to_qdq(made.simulated), measured[:1], rewrite_program)
    assert left_outside(program) == []
    theirs = torch.cat(run(program, list(measured.split(1))))
    with quantized_engine(), torch.no_grad():
        ours = torch.cat([made.module(image) for image in measured.split(1)])
    assert len(ours.argmax(1).unique()) > 1
    assert torch.equal(ours, theirs)


def test_around_float_sums_and_means_a_value_may_move_by_one_step() -> None:
    made = made_int8(Mobile())
    assert made.simulated is not None
    ours, theirs = both(made, made.simulated, smooth(16, 3, 32))
    step = made.simulated.get_submodule("head").grids[1].scale
    assert (ours - theirs).abs().max() <= 1.001 * step
    assert (ours != theirs).float().mean() < 0.05


def test_a_layer_computes_what_integer_arithmetic_says() -> None:
    made, x = simulated(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU6()))
    layer = made.layers["0"]
    grid_in, grid_out = layer.grids
    codes = (x / grid_in.scale).round() + grid_in.zero_point
    shifted = codes.clamp(-128, 127).double() - grid_in.zero_point
    weight = (layer.int8_weight().double() / layer.scales.double().view(-1, 1, 1, 1)).round()
    assert weight.abs().max() == 127
    bias = layer.int8_bias()
    assert bias is not None  # the correction for rounding
    sums = nn.functional.conv2d(shifted, weight)
    real = sums * (grid_in.scale * layer.scales.double()).view(1, -1, 1, 1)
    real = (real + bias.double().view(1, -1, 1, 1)).clamp(0.0, 6.0)
    out = ((real / grid_out.scale).round() + grid_out.zero_point).clamp(-128, 127)
    expected = (out - grid_out.zero_point) * grid_out.scale
    with torch.no_grad():
        got = QdqLayer(layer)(x).double()
    # float32 sums may put a value that lies halfway onto the other side.
    assert (got - expected).abs().max() <= 1.001 * grid_out.scale
    assert ((got - expected).abs() > 1e-6).double().mean() < 1e-3


def test_quint8_grids_are_int8_grids_128_codes_lower() -> None:
    x = torch.linspace(-1.0, 3.0, 101)
    here = RoundTrip(Range(0.01, 37), torch.quint8)(x)
    expected = torch.quantize_per_tensor(x, 0.01, 37, torch.quint8).dequantize()
    torch.testing.assert_close(here, expected, rtol=0, atol=1e-7)


def test_each_reader_has_its_own_dequantize_and_a_tensor_is_quantized_once() -> None:
    made = made_int8(Forks())
    assert made.simulated is not None
    x = smooth(1, 3, 32)
    exported = torch.export.export(to_qdq(made.simulated), (x,))
    before = exported.module()(x)
    # Of what `left` gives; the pooled input has two already, of codes that were twice the same.
    assert own_dequantize(exported) == 1
    nodes = [n for n in exported.graph.nodes if n.op == "call_function"]
    for node in nodes:
        if node.target is decomposed.dequantize_per_tensor.default:
            assert len(node.users) == 1
    quantized = [n.args for n in nodes if n.target is decomposed.quantize_per_tensor.default]
    assert len(set(quantized)) == len(quantized)
    assert torch.equal(exported.module()(x), before)
    ours, theirs = both(made, made.simulated, smooth(4, 3, 32))
    torch.testing.assert_close(theirs, ours, rtol=0, atol=0.05 * float(ours.abs().max()))


class Tokens(nn.Module):
    """Attention's layers over tokens, with a GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.second = nn.Linear(24, 48), nn.GELU(), nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(self.act(self.first(x)))
        return out


@pytest.mark.parametrize("granularity", ["per_channel", "per_tensor"])
def test_dynamic_ranges_of_rows_are_no_worse_than_those_of_tensors(granularity: str) -> None:
    torch.manual_seed(0)
    model, x = Tokens().eval(), torch.randn(8, 17, 24)
    recipe = replace(RECIPES["dynamic"], granularity=granularity)
    made = quantize(model, recipe, QuantizeImages(example=x[:1]))
    program = lowered(to_qdq(made.module), x[:1], own_dequantize)
    assert left_outside(program) == []
    theirs = torch.cat(run(program, list(x.split(1))))
    with quantized_engine(), torch.no_grad():
        ours = torch.cat([made.module(image) for image in x.split(1)])
        exact = model(x)
    error, own = (theirs - exact).abs(), (ours - exact).abs()
    assert error.mean() <= own.mean()
    assert 0 < error.max() < 0.05


def network(made: Quantized) -> QuantizedNetwork:
    described = Quantization.model_validate({"method": made.recipe.method})
    return QuantizedNetwork(
        module=made.module, simulated=made.simulated, described=described, notes=()
    )


def test_a_network_brings_what_is_exported() -> None:
    model = Mobile().eval()
    plain = QuantizedNetwork(module=model, simulated=None, described=Quantization(), notes=())
    assert quantized_program_module(plain) is model
    static = quantized_program_module(network(made_int8(model)))
    assert sum(isinstance(m, QdqLayer) for m in static.modules()) == 4
    x = torch.randn(2, 24)
    made = quantize(Tokens().eval(), RECIPES["dynamic"], QuantizeImages(example=x))
    dynamic = quantized_program_module(network(made))
    assert dynamic(x).shape == (2, 10)


def test_recurrent_int8_layers_are_refused_by_name() -> None:
    model = nn.Sequential(nn.LSTM(8, 16, batch_first=True))
    made = quantize(model.eval(), RECIPES["dynamic"], QuantizeImages(example=torch.randn(2, 5, 8)))
    with pytest.raises(QuantizeError, match=r"Layer 0 is a dynamic int8 .*LSTM"):
        to_qdq(made.module)
