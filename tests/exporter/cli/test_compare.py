"""The command `compare`: options, what it prints, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.compare import run as module
from exporter.compare.plan import ComparePlan, Limits, ModelChoice
from exporter.compare.result import Comparison

from ..compare.trials import comparison, failure, row
from .conftest import Done

Run = Callable[..., Done]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the command asks for; it gets a file, and one that failed."""
    calls: list[dict[str, Any]] = []

    def compare(plan: ComparePlan, **options: Any) -> Comparison:
        calls.append({"plan": plan, **options})
        picked = {"picked": "a.ptl", "picked_why": "It is the best."} if options["picks"] else {}
        if plan.budget == Limits(mb=0.1):
            picked = {"picked": None, "picked_why": "No file is within mb <= 0.1."}
        if plan.models[0].model == "broken":
            raise module.NothingExported(
                comparison(failure("broken", "It broke."), failure("other", "It broke, too."))
            )
        return comparison(row("a", ms=3.25), failure("b", "It broke."), **picked)

    monkeypatch.setattr(module, "compare", compare)
    return calls


def test_options_make_a_plan(run: Run, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    done = run(
        "compare", "a", "b", "--recipes", "none, static", "--input-size", "160,224", "--format",
        "ptl,pte", "--calibration", "noise", "--evaluate", str(tmp_path), "--random-weights",
        "--budget", "mb=10,minstr=200", "--jobs", "3", "--no-count", "-o", str(tmp_path),
    )  # fmt: skip
    assert done.code == 0, done.err
    (call,) = asked
    assert call["plan"] == ComparePlan(
        models=tuple(ModelChoice(model=name, random_weights=True) for name in "ab"),
        recipes=("none", "static"),
        input_sizes=(160, 224),
        formats=("ptl", "pte"),
        calibration="noise",
        evaluate=tmp_path,
        budget=Limits(mb=10, minstr=200),
    )
    assert (call["out"], call["count"], call["picks"]) == (tmp_path, False, False)
    assert call["resources"].jobs == 3


def test_options_replace_those_of_a_plan_file(
    run: Run, asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('models = ["a"]\nrounds = 3\n[budget]\nmb = 9\n', encoding="utf-8")
    assert run("compare", str(path), "--budget", "ms=4", "--recipes", "dynamic").code == 0
    assert asked[0]["plan"] == ComparePlan(
        models=(ModelChoice(model="a"),), rounds=3, recipes=("dynamic",), budget=Limits(ms=4)
    )
    assert run("compare", str(path), "b").code == 2


@pytest.mark.usefixtures("asked")
def test_the_table_and_the_failures_are_printed(run: Run, tmp_path: Path) -> None:
    done = run("compare", "a", "-o", str(tmp_path), "--pick")
    lines = done.out.splitlines()
    assert lines[0].split() == [
        "file", "Top-1", "agreement", "SQNR,", "dB", "MB", "ms", "front", "of",
    ]  # fmt: skip
    assert lines[1].split() == ["a.ptl", "*", "90.0%", "30.0", "10.0", "3.25"]
    assert "b.ptl failed: It broke." in done.out
    assert "It is the best." in done.out
    assert str(tmp_path / "compare.html") in done.out


@pytest.mark.usefixtures("asked")
def test_json_is_the_comparison_and_nothing_else(run: Run) -> None:
    found = Comparison.model_validate(json.loads(run("compare", "a", "--json").out))
    assert [r.name for r in found.rows] == ["a", "b"]


@pytest.mark.usefixtures("asked")
def test_a_budget_that_nothing_fits_is_exit_1(run: Run) -> None:
    done = run("compare", "a", "--budget", "mb=0.1", "--pick")
    assert done.code == 1
    assert "No file is within mb <= 0.1." in done.out
    assert "No file is within" in run("compare", "a", "--budget", "mb=0.1", "--pick", "-q").err


@pytest.mark.usefixtures("asked")
def test_nothing_exported_is_an_error(run: Run) -> None:
    done = run("compare", "broken")
    assert done.code == 2
    assert "Nothing could be exported: It broke." in done.err
    assert "other.ptl failed: It broke, too." in done.out
    found = run("compare", "broken", "--json")
    assert [row["reason"] for row in json.loads(found.out)["rows"]] == [
        "It broke.",
        "It broke, too.",
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a", "--recipes", "static"], "--calibration DIR"),
        (["a", "--recipes", "quick"], "no recipe 'quick'"),
        (["a", "--input-size", "big"], "--input-size takes whole numbers"),
        (["a", "--budget", "gb=1"], "--budget"),
        (["a", "--jobs", "0"], "--jobs"),
        (["missing.toml"], "Cannot read missing.toml"),
        ([], "Missing argument"),
    ],
)
def test_mistakes_are_a_sentence(
    words: list[str], says: str, run: Run, asked: list[dict[str, Any]]
) -> None:
    done = run("compare", *words)
    assert done.code == 2
    assert says in " ".join(done.err.split())
    assert not asked
