"""GELU and softmax next to int8: their errors, their conversions, and when they stay exact."""

from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch
from torch import nn

from exporter.quantize.activations import (
    SOFTMAX_ERROR,
    PolynomialGelu,
    PowerSoftmax,
    SimulatedGelu,
    SimulatedSoftmax,
    fit_gelu,
)
from exporter.quantize.apply import QuantizeImages, quantize
from exporter.recipes import RECIPES


@pytest.mark.parametrize(
    ("low", "high"), [(-0.5, 0.7), (-3, 2), (-2, 9), (-30, 40), (-0.2, 4), (0, 1)]
)
def test_gelu_fits_any_range(low: float, high: float) -> None:
    fit = fit_gelu(low, high)
    x = torch.linspace(low, high, 256).view(1, -1, 1)
    exact = nn.functional.gelu(x)
    got = PolynomialGelu(fit)(x.clone())
    largest = float((got - exact).abs().max())
    assert largest <= max(1.02 * fit.error, 1e-5)
    assert largest < 0.0085


def test_gelu_simulates_what_it_converts_to() -> None:
    step = SimulatedGelu(nn.GELU(), name="act", source="fc1", reader="fc2")
    x = torch.randn(2, 9, 16) * 3
    assert torch.equal(step(x), nn.functional.gelu(x))
    step.settle(-9.0, 9.0, 0.05)
    step.simulating = True
    assert isinstance(step.convert(), PolynomialGelu)
    assert torch.allclose(step(x), step.convert()(x.clone()), atol=2e-6)


def test_gelu_stays_exact_below_its_error() -> None:
    step = SimulatedGelu(nn.GELU(), name="act", source="fc1", reader="fc2")
    step.settle(-9.0, 9.0, 0.004)
    assert isinstance(step.convert(), nn.GELU)


def test_softmax_is_within_its_error() -> None:
    torch.manual_seed(0)
    for spread in (0.1, 1.0, 5.0, 30.0):
        x = torch.randn(2, 3, 50, 197) * spread
        exact, got = x.softmax(-1), PowerSoftmax()(x)
        assert torch.allclose(got.sum(-1), torch.ones(2, 3, 50), atol=1e-5)
        largest = exact.amax(-1, True)
        # Half a step, if the row were unsigned int8. The errors of a row add up in its sum.
        assert float(((got - exact).abs() / largest).max()) < 0.5 / 255
        scores = x - x.amax(-1, True)
        powers = got / got.amax(-1, True)
        assert float((powers - scores.exp()).abs().max()) <= 1.02 * 2 * SOFTMAX_ERROR


def test_softmax_simulates_what_it_converts_to_and_trains() -> None:
    step = SimulatedSoftmax(name="s")
    step.simulating = True
    x = torch.randn(1, 2, 5, 5, requires_grad=True)
    got = step(x)
    assert torch.allclose(got, step.convert()(x.detach()), atol=1e-6)
    (got**2).sum().backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())


def _vit() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=3,
        num_classes=7, exportable=True,
    ).eval()  # fmt: skip


def test_int8_vit_has_no_exponential_left_and_says_so() -> None:
    images = torch.rand(8, 3, 32, 32)
    recipe = RECIPES["static-xnnpack-fx"]
    made = quantize(
        _vit(), recipe, QuantizeImages(example=images[:1], calibration=[images], allow_noise=True)
    )
    kinds = [type(module) for module in made.module.modules()]
    assert kinds.count(PowerSoftmax) == 2
    assert kinds.count(PolynomialGelu) + kinds.count(nn.GELU) == 2
    assert any("softmaxes" in note for note in made.notes)
    # Inputs stay as they are, whatever is written in place.
    x = images[:1].clone()
    first = made.module(x)
    assert torch.equal(x, images[:1])
    assert torch.equal(first, made.module(x))
    assert torch.equal(torch.jit.script(made.module)(x), first)


def test_exact_activations_can_be_asked_for() -> None:
    images = torch.rand(8, 3, 32, 32)
    recipe = replace(RECIPES["static-xnnpack-fx"], cheap_activations=False)
    made = quantize(
        _vit(), recipe, QuantizeImages(example=images[:1], calibration=[images], allow_noise=True)
    )
    kinds = [type(module) for module in made.module.modules()]
    assert PowerSoftmax not in kinds
    assert PolynomialGelu not in kinds
