"""Conversion: one kernel a layer, the same codes, tensors quantized once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from exporter.errors import (
    QuantizeError,
)
from exporter.quantize import apply
from exporter.quantize.apply import quantize
from exporter.quantize.calibrate import (
    calibrate,
)
from exporter.quantize.convert import convert
from exporter.quantize.engine import quantized_engine
from exporter.quantize.place import Simulated, simulate_int8
from exporter.quantize.weights import nearest_codes
from exporter.recipes import RECIPES, QuantizeRecipe

from .conftest import MadeInt8, Task
from .nets import (
    Forks,
    against_simulation,
)


@pytest.mark.parametrize(
    "name", ["static-xnnpack", "static-xnnpack-fx", "static-qnnpack", "dynamic"]
)
def test_int8_module_scripts_and_gives_the_same(
    fashion_int8: MadeInt8, fashion: Task, name: str
) -> None:
    made = fashion_int8(name)
    batch = fashion.measured[0][:3]
    with quantized_engine(), torch.inference_mode():
        scripted = torch.jit.script(made.module)
        torch.testing.assert_close(scripted(batch), made.module(batch))


def test_kernels_agree_with_the_simulation(fashion_int8: MadeInt8, fashion: Task) -> None:
    made = fashion_int8("static-xnnpack")
    assert all(layer.kernel_steps < 0.05 for layer in made.layers)
    assert against_simulation(made, fashion.measured[:1]) > 30.0


def test_a_kernel_that_disagrees_is_named(fashion: Task, monkeypatch: pytest.MonkeyPatch) -> None:

    good = apply.convert

    def bad(simulated: Simulated) -> nn.Module:
        module = good(simulated)
        layer = module.get_submodule("blocks.2.mlp.fc1").kernel.convolution
        layer.set_weight_bias(layer.weight(), layer.bias() + 5 * layer.scale)
        return module

    monkeypatch.setattr(apply, "convert", bad)
    with pytest.raises(QuantizeError, match=r"blocks\.2\.mlp\.fc1"):
        quantize(
            fashion.model,
            RECIPES["static-xnnpack"],
            fashion.images,
        )


def converted(model: nn.Module) -> tuple[nn.Module, torch.Tensor, list[str]]:
    """The int8 module, its distance from the simulation, and its graph's operators."""
    torch.manual_seed(0)
    images = torch.randn(4, 3, 16, 16)
    recipe = QuantizeRecipe.named("static", mode="fx")
    with quantized_engine():
        made = simulate_int8(model.eval(), recipe, example=images[:1], calibration=[images])
        calibrate(made, [images])
        made.simulate(made.layers)
        int8 = convert(made)
        with torch.no_grad():
            off = (int8(images[:1]) - made.module(images[:1])).abs().max()
            traced = torch.jit.trace(int8, images[:1])
        torch._C._jit_pass_inline(traced.graph)
    return int8, off, [node.kind() for node in traced.graph.nodes()]


def test_what_several_int8_layers_read_is_quantized_once_and_never_made_float() -> None:
    _, off, operators = converted(Forks())
    assert float(off) < 0.1
    assert operators.count("aten::quantize_per_tensor") == 1  # for left and right
    assert operators.count("quantized::conv2d") == 4
    assert operators.count("aten::dequantize") == 3  # left goes to up and down as int8


def test_a_tensor_changed_in_place_is_quantized_anew() -> None:
    _, off, operators = converted(Forks(in_place=True))
    assert float(off) < 0.1
    assert operators.count("aten::quantize_per_tensor") == 2


def test_conversion_keeps_the_codes(lite0: Task) -> None:
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
