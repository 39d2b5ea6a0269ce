"""A mistake gets one paragraph and exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime_check.errors import UnreadableArtifact

from .conftest import Done

Run = Callable[..., Any]

RANDOM = ["export", "test_vit", "--random-weights"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["resnet18"], "Did you mean export resnet18?"),
        (["inspct"], "Did you mean inspect?"),
        (["export", "resnet81", "--random-weights"], "Did you mean"),
        ([*RANDOM, "--disable", "nothing"], "no pass"),
        ([*RANDOM, "--install", "nowhere"], "no folder"),
        (["export", "test_vit", "--weights", "no.safetensors"], "no.safetensors"),
        (["export", "test_vit", "--weights", "hf-hub:a/b"], "hub id as the model"),
        (["export", "test_vit", "--input-shape", "1,x"], "--input-shape takes whole numbers"),
        (["export", "test_vit", "--input-shape", "1,0"], "--input-shape takes positive sizes"),
        (["export", "test_vit", "--mean", "0.5;0.5"], "--mean takes numbers"),
        (["inspect", "nothing.ptl"], "no file"),
        (["models", "rsnet18"], "Did you mean"),
        (["export", "test_vit", "--bogus"], "There is no option --bogus. `python"),
        (["--install", "a", "b"], "one folder. For several repeat it: `--install a --install b`"),
        ([*RANDOM, "--install", "a", "b"], "`--install a --install b`"),
        (["export", "--install", "a", "test_vit"], "there is no folder a"),
        # One word of each choice.
        ([*RANDOM, "--capture", "trac"], "one of auto, script, trace, mixed, not 'trac'. Did you "),
        ([*RANDOM, "--input", "img"], "--input is one of auto, image, tensor, not 'img'."),
        ([*RANDOM, "--activation", "softmx"], "Did you mean softmax?"),
        ([*RANDOM, "--interpolation", "bicubc"], "Did you mean bicubic?"),
        ([*RANDOM, "--crop-mode", "centre"], "Did you mean center?"),
        ([*RANDOM, "--mode", "fxx"], "--mode is one of auto, fx, eager, not 'fxx'. Did you mean "),
        ([*RANDOM, "--scheme", "xnnpck"], "Did you mean xnnpack?"),
        # Options that have another name now.
        ([*RANDOM, "--runtime", "pytorch-2.1.0"], "--runtime is called --target now."),
        ([*RANDOM, "--device=arm64-2.1.0"], "--device is called --run-on now."),
    ],
)
def test_a_mistake_gets_one_paragraph(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert says in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir()), "something was left behind"


def test_a_traceback_on_demand(run: Run) -> None:
    with pytest.raises(UnreadableArtifact):
        run("inspect", "nothing.ptl", "--traceback")


def test_a_bug_says_that_it_is_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.environment.diagnose", lambda: 1 / 0)
    done = run("doctor")
    assert done.code == 3
    assert "should not have happened: ZeroDivisionError" in " ".join(done.err.split())


@pytest.mark.parametrize(
    "arguments", [["--json", "recipes"], ["--out", "elsewhere", "recipes"], ["-q", "doctor"]]
)
def test_an_option_before_a_command_is_refused_not_ignored(
    arguments: list[str], run: Callable[..., Done]
) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert "comes after the command" in done.err
