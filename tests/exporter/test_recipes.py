from __future__ import annotations

import json
import sys
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import typer

import exporter.api
from exporter.cli import main
from exporter.errors import RecipeError
from exporter.quantize import RECIPES, QuantizeRecipe, recipes_named


def test_every_combination_has_a_name_and_prints_itself() -> None:
    wanted = {
        f"{method}-{scheme}{suffix}"
        for method in ("static", "qat")
        for scheme in ("xnnpack", "qnnpack")
        for suffix in ("", "-fx")
    } | {"none", "dynamic", "dynamic-fx"}
    assert set(RECIPES) == wanted
    for name, recipe in RECIPES.items():
        assert QuantizeRecipe.named(name) == recipe
        assert str(recipe).startswith(name)
        assert recipe.label == name
        row = recipe.describe()
        assert row["recipe"] == name
        assert all(row.values())


def test_description_says_what_is_quantized_and_when() -> None:
    static = RECIPES["static-xnnpack"].describe()
    assert "qint8" in static["activations"]
    assert "calibration" in static["activations"]
    assert "quint8" in RECIPES["static-qnnpack"].describe()["activations"]
    assert "while it runs" in RECIPES["dynamic"].describe()["activations"]


def test_recipe_is_frozen_and_survives_json() -> None:
    recipe = QuantizeRecipe.named("static", float_layers=("head",), granularity="per_tensor")
    with pytest.raises(FrozenInstanceError):
        recipe.method = "none"  # type: ignore[misc]
    again = QuantizeRecipe(**json.loads(json.dumps(recipe.as_dict())))
    assert again == recipe


def test_unknown_recipe_gets_the_nearest_names() -> None:
    with pytest.raises(RecipeError, match=r"Did you mean static-xnnpack.*Known: auto, none"):
        QuantizeRecipe.named("static-xnpack")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"observer": "median"}, "histogram"),
        ({"scheme": "fbgemm"}, "xnnpack"),
        ({"method": "dynamic"}, "QNNPACK"),
        ({"method": "qat", "epochs": 0}, "epochs"),
        ({"method": "qat", "learning_rate": float("nan")}, "learning_rate"),
        ({"method": "static", "epochs": 2}, "`--epochs` has no meaning for `static`"),
        ({"method": "none", "equalize": False}, "`--equalize` has no meaning for `none`"),
    ],
)
def test_impossible_fields_are_refused_with_a_way_out(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(RecipeError, match=word):
        QuantizeRecipe(**changes)


# What `--quantize static-xnnpack` once ignored, every one of them, without a word.
_FLAGS = (
    "--float-layers head --float-layers blocks.0 --observer minmax --granularity per_tensor "
    "--rounding nearest --no-equalize --seed 7 --mode eager"
)
_GIVEN: dict[str, Any] = {
    "float_layers": ("head", "blocks.0"),
    "observer": "minmax",
    "granularity": "per_tensor",
    "rounding": "nearest",
    "equalize": False,
    "seed": 7,
    "mode": "eager",
}


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command line hands to `export`, which stops there."""
    handed: dict[str, Any] = {}

    def stop(model: str, **options: Any) -> None:
        handed.update(options)
        raise typer.Exit

    monkeypatch.setattr(exporter.api, "export", stop)
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command line puts the folder on it
    return handed


def from_command_line(handed: dict[str, Any], options: str) -> Any:
    with pytest.raises(SystemExit) as end:
        main(["export", "any_model", "-q", *options.split()])
    assert end.value.code == 0
    return handed["quantize"]


@pytest.mark.parametrize("name", ["static", "static-xnnpack", "static-xnnpack-fx"])
def test_a_name_takes_every_option_it_has_a_use_for(name: str, exported: dict[str, Any]) -> None:
    from_python = recipes_named(name, **_GIVEN)
    assert isinstance(from_python, QuantizeRecipe)
    assert {field: getattr(from_python, field) for field in _GIVEN} == _GIVEN
    assert from_python.scheme == "xnnpack"
    assert from_command_line(exported, f"--quantize {name} --calibration x {_FLAGS}") == from_python


def test_auto_hands_options_to_the_candidates_that_have_a_use_for_them(
    exported: dict[str, Any],
) -> None:
    recipes = from_command_line(
        exported, f"--quantize auto --train x --calibration x --epochs 2 {_FLAGS}"
    )
    assert recipes == recipes_named("auto", training=True, epochs=2, **_GIVEN)
    names = ["static-xnnpack", "static-qnnpack", "dynamic", "qat-xnnpack"]  # in mode eager
    assert [recipe.name for recipe in recipes] == names
    static, affine, dynamic, trained = recipes
    for recipe in (static, affine):
        assert {field: getattr(recipe, field) for field in _GIVEN} == _GIVEN
    assert dynamic.float_layers == trained.float_layers == ("head", "blocks.0")
    assert dynamic.granularity == "per_tensor"
    assert (trained.epochs, trained.observer, trained.equalize) == (2, "minmax", False)


def test_auto_tries_a_scheme_once_and_trains_on_images_alone() -> None:
    def names(**given: Any) -> list[str]:
        recipes = recipes_named("auto", **given)
        assert isinstance(recipes, tuple)
        return [recipe.name for recipe in recipes]

    assert names() == ["static-xnnpack-fx", "static-qnnpack-fx", "dynamic-fx"]
    assert names(mode="eager") == ["static-xnnpack", "static-qnnpack", "dynamic"]
    assert names(scheme="xnnpack") == ["static-xnnpack-fx", "dynamic-fx"]
    assert names(scheme="qnnpack", training=True)[-1] == "qat-qnnpack-fx"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--quantize dynamic --scheme xnnpack", "`--scheme` has no meaning for `dynamic`"),
        ("--quantize dynamic --observer minmax", "`--observer` has no meaning for `dynamic`"),
        ("--quantize dynamic --no-equalize", "`--equalize` has no meaning for `dynamic`"),
        ("--quantize dynamic --rounding nearest", "It is for: static."),
        ("--quantize dynamic --calibration x", "`--calibration` has no meaning for `dynamic`"),
        ("--quantize none --observer minmax", "`--observer` has no meaning for `none`"),
        ("--observer minmax", "`--observer` has no meaning for `none`"),
        ("--calibration x", "`--calibration` has no meaning for `none`"),
        ("--quantize static-xnnpack --epochs 2", "no meaning for `static-xnnpack`. It is for: qat"),
        ("--quantize static --calibration x --train x", "`--train` has no meaning for `static`"),
        ("--quantize static --calibration x --checkpoint x", "`--checkpoint` has no meaning"),
        ("--quantize static --calibration x --max-accuracy-drop 1", "It is for: auto."),
        ("--quantize qat --calibration x --train x --min-agreement 1", "`--min-agreement` has no"),
        ("--quantize static --calibration x --min-sqnr 30", "`--min-sqnr` has no"),
        ("--quantize qat --rounding nearest", "`--rounding` has no meaning for `qat`"),
        ("--quantize auto --epochs 2", "It is for: qat, which auto tries where --train gives"),
        ("--quantize auto --calibration x --checkpoint x", "`--checkpoint` has no meaning"),
        ("--quantize static --calibration noise --calibration-images 9", "a folder of images"),
        ("--quantize static --observer median", "--observer is one of auto, minmax"),
        ("--quantize static --mode faster", "--mode is one of auto, fx, eager"),
        ("--quantize statik", "Did you mean static"),
    ],
)
def test_an_option_without_a_use_is_refused_by_name(
    options: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["export", "test_vit", "--random-weights", "-q", *options.split()])
    assert end.value.code == 2
    printed = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert says in printed


@pytest.mark.parametrize(
    ("recipe", "given", "says"),
    [
        ("dynamic", {"observer": "minmax"}, "`--observer` has no meaning for `dynamic`"),
        ("dynamic", {"scheme": "xnnpack"}, "`--scheme` has no meaning for `dynamic`"),
        ("dynamic", {"cheap_activations": True}, "`--disable cheap-activations` has no meaning"),
        ("none", {"float_layers": ("head",)}, "`--float-layers` has no meaning for `none`"),
        ("auto", {}, 'quantize="auto"'),
        ("static", {"obsrver": "minmax"}, "no option 'obsrver'. Did you mean observer"),
    ],
)
def test_python_refuses_the_same(recipe: str, given: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        QuantizeRecipe.named(recipe, **given)


def test_a_label_says_what_was_changed() -> None:
    recipe = QuantizeRecipe.named("static-xnnpack", observer="minmax", float_layers=("a", "b"))
    assert recipe.label == "static-xnnpack (observer minmax, float_layers a+b)"
    assert recipe.name == "static-xnnpack"
