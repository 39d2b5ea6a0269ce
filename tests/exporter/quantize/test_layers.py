"""One layer on its way to int8."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from exporter.errors import (
    CalibrationError,
)
from exporter.quantize.layers import SimulatedLayer
from exporter.recipes import RECIPES, QuantizeRecipe

from .nets import (
    Mobile,
    simulated,
)


def test_a_layer_has_no_grids_before_calibration() -> None:
    layer = SimulatedLayer(nn.Linear(4, 4), RECIPES["static-xnnpack"], name="fc", input_dim=2)
    with pytest.raises(CalibrationError, match="Layer fc has no fixed ranges"):
        _ = layer.grids
    with pytest.raises(CalibrationError, match="saw no calibration image"):
        layer.settle()


def test_simulation_is_rounding_on_three_grids() -> None:
    """Input, weight and output are rounded; the result lies on the output's grid."""
    torch.manual_seed(0)
    layer = SimulatedLayer(nn.Linear(6, 5), RECIPES["static-xnnpack"], name="fc", input_dim=2)
    x = torch.randn(64, 6)
    exact = layer(x)
    layer.watching = False
    layer.settle()
    layer.settle_weight()
    layer.simulating = True
    with torch.no_grad():
        out = layer(x)
    grid = layer.grids[1]
    codes = out / grid.scale
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3)
    assert float((out - exact).detach().abs().max()) < 6 * grid.scale
    layer.simulating = False
    assert torch.equal(layer(x), exact)


def test_training_goes_on_from_the_corrected_bias() -> None:
    torch.manual_seed(0)
    recipe = QuantizeRecipe.named("static", mode="eager", rounding="nearest")
    layer = SimulatedLayer(nn.Conv2d(3, 4, 1), recipe, name="conv", input_dim=4)
    layer(torch.rand(2, 3, 8, 8))
    layer.watching = False
    layer.settle()
    layer.settle_weight()
    corrected = layer.int8_bias()
    assert corrected is not None
    layer.begin_training()
    assert layer.bias_shift is None
    assert layer.layer.bias is not None
    assert torch.equal(layer.layer.bias, corrected)


@pytest.fixture
def mobile() -> nn.Module:
    return Mobile().eval()


def test_nothing_simulated_is_the_float_model(mobile: nn.Module) -> None:
    made, x = simulated(mobile)
    made.simulate(())
    with torch.no_grad():
        torch.testing.assert_close(made.module(x), mobile(x), rtol=1e-4, atol=1e-5)
