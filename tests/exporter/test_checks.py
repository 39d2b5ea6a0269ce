"""Values that cannot be meant are refused with the option's name, from Python as from a shell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.errors import ExportError, RecipeError, UsageError
from exporter.options import Budget, ExportOptions, PreprocessingChoice, QuantizeOptions
from exporter.recipes import QuantizeRecipe, recipes_named
from runtime_check.values import require_types

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"mean": (0.5, 0.5), "std": (1, 1, 1)}, "--mean has 2 numbers and --std has 3"),
        ({"mean": (NAN, 0, 0)}, "--mean takes one number a color.* not nan"),
        ({"mean": (0, INF, 0)}, "--mean takes .* not inf"),
        ({"mean": (123.7, 116.3, 103.5)}, "--mean .* not 123.7.* divide by 255"),
        ({"mean": ()}, "--mean .* one of them is needed"),
        ({"std": (0, 1, 1)}, "--std takes .* not 0"),
        ({"std": (1, -1, 1)}, "--std takes .* not -1"),
        ({"std": (NAN,)}, "--std takes .* not nan"),
        ({"mean": 0.5}, "--mean takes several, each a number, not 0.5"),
        ({"mean": ("a",)}, "--mean takes several, each a number, not"),
        ({"crop_pct": 0}, "--crop-pct .* not 0"),
        ({"crop_pct": NAN}, "--crop-pct .* not nan"),
        ({"crop_pct": -1}, "--crop-pct .* not -1"),
        ({"crop_pct": 1e9}, r"--crop-pct .* not 1e\+09"),
        ({"crop_pct": 1e-9}, "--crop-pct .* not 1e-09"),
        ({"crop_pct": "all"}, "--crop-pct takes a number, not 'all'"),
        ({"crop_mode": "middle"}, "crop_mode is one of center, squash, border, not 'middle'"),
    ],
)
def test_preprocessing(values: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        PreprocessingChoice(**values)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"input_shape": (1, 3, -5, 32)}, "--input-shape takes positive sizes"),
        ({"input_shape": ()}, "--input-shape takes positive sizes"),
        ({"input_shape": (1, 3, 100_000, 100_000)}, r"--input-shape .* 3e\+10 numbers"),
        ({"input_shape": 32}, "--input-shape takes several, each a whole number, not 32"),
        ({"input_shape": (1, 3, 3.5, 2)}, "--input-shape takes several, each a whole number"),
        ({"seed": -1}, "--seed takes a whole number from 0 to 9223372036854775807, not -1"),
        ({"seed": 2**63}, "--seed takes a whole number from 0"),
        ({"seed": "abc"}, "--seed takes a whole number, not 'abc'"),
        ({"seed": True}, "--seed takes a whole number, not True"),
        ({"labels": 3}, "--labels takes a path or several, each a text, not 3"),
        ({"quantize": 3}, "--quantize takes a QuantizeOptions, not 3"),
        ({"targets": 3}, "--targets takes several, each a text, not 3"),
        ({"input": None}, "--input takes one of auto, image, tensor, not None"),
    ],
)
def test_export(values: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ExportOptions(**values)


@pytest.mark.parametrize("images", [0, -3])
def test_calibration_images_are_some(images: int) -> None:
    recipe = recipes_named("static")
    with pytest.raises(UsageError, match=f"--calibration-images .* not {images}"):
        QuantizeOptions(recipe=recipe, calibration=Path("x"), calibration_images=images)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"seed": -1}, "--seed"),
        ({"method": "qat", "learning_rate": INF}, "learning_rate is above 0 .* inf"),
        ({"method": "qat", "learning_rate": NAN}, "learning_rate is above 0 .* nan"),
        ({"method": "qat", "epochs": 0}, "epochs is at least 1"),
        ({"method": "qat", "epochs": 2.5}, "--epochs takes a whole number, not 2.5"),
    ],
)
def test_recipes(values: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        QuantizeRecipe(**values)


@pytest.mark.parametrize("drop", [NAN, INF])
def test_a_budget_is_a_number(drop: float) -> None:
    with pytest.raises(ExportError, match="max_accuracy_drop"):
        Budget(max_accuracy_drop=drop)


def test_one_name_is_a_name_and_not_its_letters() -> None:
    assert ExportOptions(disable="flip").disable == ("flip",)  # type: ignore[arg-type]
    assert ExportOptions(targets="pytorch-1.13").targets == ("pytorch-1.13.1",)  # type: ignore[arg-type]
    recipe = QuantizeRecipe(float_layers="head")  # type: ignore[arg-type]
    assert recipe.float_layers == ("head",)


def test_lists_become_tuples() -> None:
    choice = PreprocessingChoice(mean=[0.5, 0.5, 0.5], std=[1, 1, 1])  # type: ignore[arg-type]
    assert choice.mean == (0.5, 0.5, 0.5)
    require_types(choice)  # and they are what they say they are
    assert ExportOptions(input_shape=[1, 3, 8, 8]).input_shape == (1, 3, 8, 8)  # type: ignore[arg-type]
