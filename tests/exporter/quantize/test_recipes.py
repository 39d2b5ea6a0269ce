import json
from dataclasses import FrozenInstanceError

import pytest

from exporter.errors import RecipeError
from exporter.quantize import RECIPES, QuantizeRecipe, find_recipe, make_recipe


def test_every_combination_has_a_name_and_prints_itself():
    wanted = {
        f"{method}-{scheme}{suffix}"
        for method in ("static", "qat")
        for scheme in ("xnnpack", "qnnpack")
        for suffix in ("", "-fx")
    } | {"none", "dynamic", "dynamic-fx"}
    assert set(RECIPES) == wanted
    for name, recipe in RECIPES.items():
        assert str(recipe).startswith(name)
        row = recipe.describe()
        assert row["recipe"] == name
        assert all(row.values())


def test_description_says_what_is_quantised_and_when():
    static = find_recipe("static-xnnpack").describe()
    assert "qint8" in static["activations"]
    assert "calibration" in static["activations"]
    assert "quint8" in find_recipe("static-qnnpack").describe()["activations"]
    assert "while it runs" in find_recipe("dynamic").describe()["activations"]


def test_recipe_is_frozen_and_survives_json():
    recipe = make_recipe("static", float_layers=("head",), weights="per_tensor")
    with pytest.raises(FrozenInstanceError):
        recipe.method = "none"
    again = QuantizeRecipe(**json.loads(json.dumps(recipe.as_dict())))
    assert again == recipe


def test_unknown_recipe_gets_the_nearest_names():
    with pytest.raises(RecipeError, match="static-xnnpack"):
        find_recipe("static-xnpack")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"observer": "median"}, "histogram"),
        ({"scheme": "fbgemm"}, "xnnpack"),
        ({"method": "dynamic"}, "QNNPACK"),
        ({"epochs": 0}, "epochs"),
        ({"learning_rate": float("nan")}, "learning_rate"),
    ],
)
def test_impossible_fields_are_refused_with_a_way_out(changes, word):
    with pytest.raises(RecipeError, match=word):
        QuantizeRecipe(name="x", **changes)
