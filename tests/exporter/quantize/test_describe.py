"""What became of each layer, in words and figures."""

from __future__ import annotations

from dataclasses import replace

import torch

from exporter.quantize.apply import QuantizeImages, quantize
from exporter.quantize.describe import calibration_notes
from exporter.quantize.place import CalibrationChoice
from exporter.quantize.ranges import CLIPPINGS
from exporter.recipes import RECIPES

from .nets import (
    Mobile,
    smooth,
)


def test_each_layer_is_described() -> None:
    torch.manual_seed(0)
    x = smooth(8, 3, 32)
    recipe = replace(RECIPES["static-xnnpack"], float_layers=("head",))
    made = quantize(Mobile().eval(), recipe, QuantizeImages(example=x[:1], calibration=[x]))
    rows = {layer.name: layer for layer in made.layers}
    assert {name: row.kind for name, row in rows.items()} == {
        "stem": "Conv2d + ReLU6",
        "depthwise": "Conv2d + ReLU",
        "project": "Conv2d",
        "head": "Linear",
    }
    assert (rows["stem"].weights, rows["head"].weights) == ("int8 per_channel", "float32")
    assert rows["stem"].parameters == 16 * 3 * 9 + 16
    assert rows["head"].why_float == "asked for"
    assert rows["head"].kernel_steps is None
    steps = rows["stem"].kernel_steps
    assert steps is not None
    assert steps < 1.0
    assert made.int8_layers == 3
    assert made.float_layers == ("head",)
    assert made.calibration is not None
    assert made.calibration.clipping in CLIPPINGS
    assert made.calibration.rounding in ("compensated", "nearest")
    assert set(calibration_notes(made.calibration)) <= set(made.notes)


def test_what_calibration_chose_is_said_in_words() -> None:
    assert calibration_notes(CalibrationChoice()) == []
    choice = CalibrationChoice(clipping="mild", rounding="nearest", corrected_means=True)
    ranges = "cut by histogram, but nowhere below half; measured to be the best here."
    assert calibration_notes(choice) == [
        f"Activation ranges: {ranges}",
        "Weights of convolutions: nearest rounding; measured to be better here.",
        "Means of the layers' outputs: corrected; measured to be better.",
    ]


def test_of_a_float_recipe_every_layer_says_why() -> None:
    made = quantize(Mobile().eval(), RECIPES["none"], QuantizeImages(example=smooth(1, 3, 32)))
    assert made.int8_layers == 0
    assert all(layer.why_float for layer in made.layers)
