"""Options are validated when they are made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from exporter.errors import ExportError, UsageError
from exporter.options import NOISE, Budget, ExportOptions, PreprocessingChoice, QuantizeOptions
from exporter.recipes import RECIPES, QuantizeRecipe


def test_targets_are_resolved() -> None:
    assert ExportOptions(targets=("pytorch-1.13",)).targets == ("pytorch-1.13.1",)
    with pytest.raises(Exception, match=r"pytorch-2\.1\.0"):
        ExportOptions(targets=("pytorch-9",))


def test_sizes_are_positive() -> None:
    with pytest.raises(UsageError, match="--input-shape"):
        ExportOptions(input_shape=(1, 3, 0, 32))


def test_options_need_no_torch() -> None:
    """The command line imports them for `--help`."""
    code = "import sys, exporter.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("input", "imagee", "input is one of auto, image, tensor.* Did you mean image"),
        ("activation", "relu", "activation is one of"),
        ("capture", "tracing", "capture is one of.* Did you mean trace"),
        ("targets", (), "at least one"),
        ("name", "../x", "cannot be a file's name"),
        ("name", "a/b", "cannot be a file's name"),
        ("name", "", "cannot be a file's name"),
        ("name", "..", "cannot be a file's name"),
        ("name", ".", "cannot be a file's name"),
        ("name", "a\\b", "cannot be a file's name"),
        ("name", "a\x1b[31mb", "cannot be a file's name"),
        ("name", "a\nb", "cannot be a file's name"),
        ("name", "a\u202eb", "cannot be a file's name"),  # turns what follows round
        ("name", "a\udcffb", "cannot be a file's name"),  # a byte that is no text
        ("name", "n" * 189, "with .report.html it has 201 bytes, and 200 are the most"),
        ("name", "ö" * 95, "with .report.html it has 202 bytes"),
    ],
)
def test_words_and_names_are_checked_when_made(field: str, value: object, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ExportOptions(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: ExportOptions(capture="script", allow_specialization=True),
            "`--allow-specialization` has no meaning for `--capture script`",
        ),
        (
            lambda: ExportOptions(disable=("cheap-activations",)),
            "cheap-activations` has no meaning",
        ),
        (
            lambda: ExportOptions(
                disable=("cheap-activations",),
                quantize=QuantizeOptions(recipe=RECIPES["dynamic-fx"]),
            ),
            "cheap-activations` has no meaning for `dynamic`",
        ),
        (
            lambda: QuantizeOptions(recipe=RECIPES["dynamic-fx"], budget=Budget()),
            "`budget` has no meaning for `dynamic`",
        ),
        (lambda: QuantizeRecipe(method="none", scheme="qnnpack"), "`--scheme` has no meaning"),
        (lambda: QuantizeRecipe(method="none", mode="fx"), "`--mode` has no meaning for `none`"),
    ],
)
def test_an_option_without_an_effect_is_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ExportError, match=says):
        make()


def test_programs_take_exact_activations() -> None:
    """A .pte's own GELU and softmax cost less: its int8 is calibrated and judged with them."""
    quantize = QuantizeOptions(recipe=RECIPES["static-xnnpack"], calibration=NOISE)
    for kind, cheap in (("ptl", True), ("pte", False)):
        options = ExportOptions(format=kind, quantize=quantize)
        assert options.quantize.recipes[0].cheap_activations is cheap


def test_cheap_activations_can_be_left_out_where_there_are_some() -> None:
    recipe = RECIPES["static-xnnpack"]
    asked = QuantizeOptions(recipe=recipe, calibration=NOISE)
    made = ExportOptions(disable=("cheap-activations",), quantize=asked)
    assert not made.quantize.recipes[0].cheap_activations


def test_preprocessing_is_checked_when_made() -> None:
    assert PreprocessingChoice(interpolation="bicubic", crop_mode="squash").crop_pct is None
    with pytest.raises(UsageError, match="interpolation is one of bicubic, bilinear"):
        PreprocessingChoice(interpolation="nearest")  # type: ignore[arg-type]
