"""The one call: keywords become options, and options are checked before the model is loaded."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from own_models import ConvNormNet

import exporter
from exporter import pipeline
from exporter.errors import ExportError, RecipeError, UsageError
from exporter.options import ExportOptions, QuantizeOptions


def test_every_option_is_a_keyword() -> None:
    keywords = set(inspect.signature(exporter.export).parameters)
    renamed = {"targets": "target", "recipe": "quantize", "input_shapes": "input_shape"}
    for field in (*fields(ExportOptions), *fields(QuantizeOptions)):
        assert renamed.get(field.name, field.name) in keywords


def test_keywords_arrive_as_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[ExportOptions] = []
    monkeypatch.setattr(pipeline, "export", lambda model, options, *rest: seen.append(options))
    exporter.export(
        ConvNormNet(),
        out=str(tmp_path),
        weights="w.safetensors",
        labels=["a", "b"],
        input_shape=[1, 3, 8, 8],
        target="pytorch-1.13",
        disable=["flip-same-padding"],
        verify=False,
        seed=7,
        quantize="static",
        calibration="noise",
    )
    (options,) = seen
    assert options.out == tmp_path
    assert options.weights == Path("w.safetensors")
    assert options.labels == ("a", "b")
    assert options.input_shape == (1, 3, 8, 8)
    assert options.targets == ("pytorch-1.13.1",)
    assert options.disable == ("flip-same-padding",)
    assert not options.verify
    assert (options.seed, options.quantize.recipes[0].seed) == (7, 7)
    assert options.quantize.calibration == "noise"


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"quantize": "statik"}, RecipeError),
        ({"quantize": "dynamic", "calibration": "noise"}, RecipeError),
        ({"quantize": "static"}, UsageError),
        ({"target": "pytorch-9"}, UsageError),
        ({"disable": ["fold-batchnorm"]}, UsageError),
    ],
)
def test_what_is_wrong_is_said_before_the_work(
    keywords: dict[str, object], error: type[Exception], tmp_path: Path
) -> None:
    steps: list[str] = []
    with pytest.raises(error):
        exporter.export(
            "no_such_model_either", out=tmp_path / "out", on_step=steps.append, **keywords
        )
    assert not steps
    assert not (tmp_path / "out").exists()
    assert issubclass(RecipeError, ExportError)


@pytest.mark.parametrize(
    ("keyword", "says"),
    [
        ("runtime", "runtime= is called target= now"),
        ("device", "device= is called run_on= now"),
        ("quantiz", r"export has no keyword quantiz=\. Did you mean quantize"),
    ],
)
def test_keywords_that_there_are_not(keyword: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        exporter.export("test_vit", **{keyword: "x"})


def test_a_checkpoint_that_cannot_be_written_ends_it_before_the_work(tmp_path: Path) -> None:
    steps: list[str] = []
    with pytest.raises(UsageError, match="--checkpoint: cannot write /proc"):
        exporter.export(
            ConvNormNet(),
            input_shape=(1, 3, 32, 32),
            out=tmp_path,
            quantize="qat",
            calibration="noise",
            train=tmp_path,
            checkpoint="/proc/x/c.pt",
            on_step=steps.append,
        )
    assert not steps
