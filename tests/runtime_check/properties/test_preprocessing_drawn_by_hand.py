"""What photos preprocessing is judged on, and which files have none."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runtime_check.artifact.metadata import Preprocessing
from runtime_check.errors import BuildError
from runtime_check.properties.base import Check, PropertyResult
from runtime_check.properties.preprocessing import examine_preprocessing, preprocessing

from .fakes import photo_input

# The package has a function of that name.
module = importlib.import_module("runtime_check.properties.preprocessing")
SPEC = Preprocessing(
    input_size=(3, 4, 6),
    interpolation="bicubic",
    crop_pct=0.5,
    crop_mode="center",
    mean=(0.5, 0.4, 0.3),
    std=(0.25, 0.5, 0.2),
    in_graph=True,
)


def explored(
    monkeypatch: pytest.MonkeyPatch, *, spec: object, stated: Preprocessing | None, **other: Any
) -> tuple[PropertyResult, list[Any], list[Any]]:
    """Call the property where nothing is drawn: what it asked for, and what came of it."""
    drawn: list[Any] = []
    searched: list[Any] = []
    monkeypatch.setattr(module, "image_recipes", lambda *a, **k: drawn.append((a, k)) or "strategy")

    def explore(*given: Any) -> PropertyResult:
        searched.append(given)
        return PropertyResult(name="preprocessing", status="noted", reason="held", examples=4)

    monkeypatch.setattr(module, "explore", explore)
    quantization = SimpleNamespace(method=other.get("method", "none"))
    check = SimpleNamespace(
        metadata=SimpleNamespace(input=spec, preprocessing=stated, quantization=quantization),
        reference=other.get("reference", "one"),
        max_pixels=1234,
    )
    result = preprocessing(cast(Check, check))
    for given in searched:
        assert given[0] is check
    return result, drawn, searched


IMAGE = photo_input(min_side=8, max_side=2000)


@pytest.mark.parametrize(
    ("other", "prefix"),
    [
        ({}, ""),
        ({"reference": None}, "resize only, the file against itself on Pillow's resized image; "),
        ({"method": "static"}, "resize only, the file against itself on Pillow's resized image; "),
    ],
)
def test_images_are_drawn_about_the_size_that_is_only_cropped(
    other: dict[str, Any], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(module, "timm_transform", asked.append)
    result, drawn, searched = explored(monkeypatch, spec=IMAGE, stated=SPEC, **other)
    assert asked == [SPEC]
    assert drawn == [((IMAGE,), {"max_pixels": 1234, "scale": 12})]
    assert [given[1:] for given in searched] == [
        ("preprocessing", "strategy", examine_preprocessing)
    ]
    assert (result.name, result.status, result.examples) == ("preprocessing", "noted", 4)
    assert result.reason == prefix + "held"


@pytest.mark.parametrize(("spec", "stated"), [("tensors", SPEC), (IMAGE, None), ("tensors", None)])
def test_tensors_and_images_that_the_app_prepares_are_skipped(
    spec: object, stated: Preprocessing | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "timm_transform", lambda _: None)
    result, drawn, searched = explored(monkeypatch, spec=spec, stated=stated)
    assert (result.name, result.status) == ("preprocessing", "skipped")
    assert result.reason == "the file takes tensors: preprocessing is the app's"
    assert drawn == searched == []


def test_without_timm_it_is_skipped_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> None:
        raise BuildError("timm is not there")

    monkeypatch.setattr(module, "timm_transform", missing)
    result, drawn, searched = explored(monkeypatch, spec=IMAGE, stated=SPEC)
    assert (result.name, result.status) == ("preprocessing", "skipped")
    assert result.reason == "timm is not there"
    assert drawn == searched == []
