"""Quantise a float module to int8 for the lite interpreter, by named recipes, with evidence."""

from __future__ import annotations

from .api import LayerReport, Quantized, conversion_sqnr, quantize
from .auto import AutoResult, Candidate, choose
from .calibrate import CalibrationSet, calibration_batches
from .engine import duplicated_weights, quantized_engine, require_single_weights
from .evaluate import Accuracy, Budget, Speed, judge, measure_speed
from .qat import TrainingSet, training_set
from .recipes import RECIPES, QuantizeRecipe, find_recipe, make_recipe
from .sensitivity import LayerSensitivity, measure_sensitivity, smallest_float_set

__all__ = [
    "RECIPES",
    "Accuracy",
    "AutoResult",
    "Budget",
    "CalibrationSet",
    "Candidate",
    "LayerReport",
    "LayerSensitivity",
    "QuantizeRecipe",
    "Quantized",
    "Speed",
    "TrainingSet",
    "calibration_batches",
    "choose",
    "conversion_sqnr",
    "duplicated_weights",
    "find_recipe",
    "judge",
    "make_recipe",
    "measure_sensitivity",
    "measure_speed",
    "quantize",
    "quantized_engine",
    "require_single_weights",
    "smallest_float_set",
    "training_set",
]
