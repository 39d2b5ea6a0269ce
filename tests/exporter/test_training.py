from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import RecipeError, UsageError
from exporter.options import QuantizeOptions
from exporter.recipes import RECIPES
from exporter.training import TrainingOptions


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"workers": -1}, "--workers"),
        ({"batch_size": 0}, "--batch-size"),
        ({"warmup": 1.0}, "--warmup"),
        ({"ema": 1.0}, "--ema"),
        ({"patience": 0}, "--patience"),
        ({"accelerator": "tpu"}, "accelerator is one of"),
        ({"precision": "16"}, "precision is one of"),
    ],
)
def test_values_out_of_range_are_refused(given: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TrainingOptions(**given)


def test_what_is_given_goes_by_its_name_on_the_command_line() -> None:
    assert TrainingOptions().given() == {}
    assert TrainingOptions(batch_size=8, ema=0.9).given() == {"--batch-size": 8, "--ema": 0.9}


def options(recipe: str, training: TrainingOptions) -> QuantizeOptions:
    train = Path("photos") if recipe.startswith("qat") else None
    return QuantizeOptions(
        recipe=RECIPES[recipe], calibration=Path("photos"), train=train, training=training
    )


def test_what_does_not_train_has_no_use_for_it() -> None:
    with pytest.raises(RecipeError, match="`--ema` has no meaning for `static`"):
        options("static-xnnpack", TrainingOptions(ema=0.9))
    assert options("qat-xnnpack", TrainingOptions(ema=0.9)).training.ema == 0.9


def test_calibration_uses_the_accelerator_too() -> None:
    assert options("static-xnnpack", TrainingOptions(accelerator="auto")).method == "static"
    with pytest.raises(RecipeError, match="`--accelerator` has no meaning for `none`"):
        QuantizeOptions(training=TrainingOptions(accelerator="auto"))
