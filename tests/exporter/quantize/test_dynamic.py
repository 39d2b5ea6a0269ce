"""Ranges taken while the model runs: which layers, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from exporter.quantize.apply import QuantizeImages, quantize
from exporter.quantize.engine import quantized_engine
from exporter.recipes import RECIPES

from .conftest import Task


def test_dynamic_on_a_convnet_says_what_it_left_out(lite0: Task) -> None:
    made = quantize(lite0.model, RECIPES["dynamic"], QuantizeImages(example=lite0.example))
    assert [layer.name for layer in made.layers if layer.int8] == ["classifier"]
    assert any("49 convolutions stay float" in note for note in made.notes)


def test_recurrent_layers_become_dynamic_int8_too() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(8, 16, batch_first=True)
            self.head = nn.Linear(16, 4)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.head(self.lstm(x)[0])
            return y

    model, x = Recurrent().eval(), torch.randn(2, 5, 8)
    made = quantize(model, RECIPES["dynamic"], QuantizeImages(example=x))
    assert type(made.module.get_submodule("lstm")).__module__.startswith("torch.ao")
    assert any("1 recurrent" in note for note in made.notes)
    with torch.no_grad(), quantized_engine():
        assert float((made.module(x) - model(x)).abs().max()) < 0.02


def test_layers_asked_for_stay_float() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4)).eval()
    recipe = replace(RECIPES["dynamic"], float_layers=("1",))
    made = quantize(model, recipe, QuantizeImages(example=torch.randn(2, 8)))
    assert [(layer.name, layer.int8, layer.why_float) for layer in made.layers] == [
        ("0", True, ""),
        ("1", False, "asked for"),
    ]
