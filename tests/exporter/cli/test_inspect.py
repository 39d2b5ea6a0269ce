"""The commands that only read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from exporter import environment
from exporter.artifact import Artifact

Run = Callable[..., Any]


def test_inspect(run: Run, default_artifact: Artifact) -> None:
    done = run("inspect", str(default_artifact.path))
    assert done.code == 0
    assert "prepacked::conv2d_clamp_run x54" in " ".join(done.out.split())
    assert "tf_efficientnet_lite0" in done.out
    for row in default_artifact.metadata.ledger:
        assert row.stage in done.out
    shown = json.loads(run("inspect", str(default_artifact.path), "--json").out)
    assert shown["metadata"] == default_artifact.metadata.model_dump(mode="json")


def test_every_word_of_the_metadata_is_whole_on_80_columns(
    run: Run, default_artifact: Artifact
) -> None:
    words = set(run("inspect", str(default_artifact.path)).out.split())
    meta = default_artifact.metadata
    for text in (*meta.operators, meta.capture.reason, *(p.effect for p in meta.passes)):
        assert {word.rstrip(",;") for word in text.split()} <= {w.rstrip(",;") for w in words}


def test_models(run: Run) -> None:
    listed = json.loads(run("models", "efficientnet_lite0", "--json").out)
    assert {m["name"]: m["weights"] for m in listed}["tf_efficientnet_lite0"] == "package"
    done = run("models", "*rope_mixed*")
    longest = "vit_base_patch16_rope_mixed_ape_224"
    assert longest in done.out.split()


def test_recipes(run: Run) -> None:
    assert "static-xnnpack" in run("recipes").out
    assert any(
        row["recipe"] == "static-xnnpack" for row in json.loads(run("recipes", "--json").out)
    )


def test_doctor(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("doctor")
    assert done.code == 0
    assert "XNNPACK" in done.out
    monkeypatch.setattr("torch.__version__", "2.13.0")
    done = run("doctor")
    assert done.code == 2
    assert environment.INSTALL_TORCH in " ".join(done.out.split())
