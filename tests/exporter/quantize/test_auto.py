"""Candidates, the table of them, and the least work within the budget."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from exporter.errors import BudgetNotMet, UncountedWork
from exporter.options import Budget
from exporter.quantize import auto
from exporter.quantize.auto import AutoResult, Exam, choose
from exporter.quantize.evaluate import Speed
from exporter.recipes import recipes_named

from .conftest import Task


def test_auto_rescues_with_float_layers_and_shows_the_table(
    spoilt: nn.Module, fashion: Task
) -> None:
    said = []
    result = choose(
        spoilt,
        recipes_named("auto"),
        fashion.images,
        Exam(
            measured=fashion.measured[:1],
            labels=fashion.labels[:256],
            budget=Budget(min_agreement=0.97),
        ),
        tell=lambda what, done, total: said.append(what),
    )
    by_name = {row.name: row for row in result.candidates}
    assert set(by_name) == {
        "none",
        "static-xnnpack-fx",
        "static-xnnpack-fx + float layers",
        "static-qnnpack-fx",
        "dynamic-fx",
    }
    assert by_name["static-xnnpack-fx"].why_not
    rescued = by_name["static-xnnpack-fx + float layers"]
    assert rescued.quantized.float_layers == ("head.wide",)
    assert not result.chosen.why_not
    assert result.chosen.accuracy.agreement >= 0.97
    within = [r for r in result.candidates if r.quantized is not None and not r.why_not]
    assert result.chosen.work == min(row.work for row in within)
    table = result.table()
    assert all(f"| {name} |" in table for name in by_name)
    assert "chosen" in table
    assert said[-1] == "measuring latency"


def choice(fashion: Task) -> AutoResult:
    """Choose among the recipes of `auto` on few images, within a loose budget."""
    exam = Exam(measured=[fashion.measured[0][:64]], budget=Budget(min_agreement=0.5))
    return choose(fashion.model, recipes_named("auto"), fashion.images, exam)


def test_whatever_the_clock_says_the_choice_is_the_same(
    fashion: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = choice(fashion)
    assert expected.chosen.name == "static-xnnpack-fx"
    works = [row.work for row in expected.candidates]
    assert expected.chosen.work == min(works[1:]) < works[0]
    assert any(
        f"{expected.chosen.name} was chosen of 3 as the least work" in note
        for note in expected.notes
    )
    spent = set()
    for seed in range(2):
        clock = random.Random(seed)
        monkeypatch.setattr(time, "perf_counter", lambda clock=clock: 1e3 * clock.random())
        found = choice(fashion)
        monkeypatch.undo()
        assert (found.chosen.name, found.notes) == (expected.chosen.name, expected.notes)
        assert [row.work for row in found.candidates] == works
        spent.add(tuple(row.speed.milliseconds for row in found.candidates))
    assert len(spent) == 2  # the clock was asked, and it lied


def test_the_least_work_wins_though_it_took_longest_and_of_equals_the_first(
    fashion: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(modules: Mapping[str, nn.Module], *_: Any, **__: Any) -> dict[str, Speed]:
        speeds = {name: Speed(milliseconds=1.0, bytes=1) for name in modules}
        return speeds | {"dynamic-fx": Speed(milliseconds=1e6, bytes=1)}

    works = {"DynamicLinear": 50, "QNNPACK": 60}

    def counted(module: nn.Module, _: Tensor) -> int:
        kinds = {type(m).__name__ for m in module.modules()}
        return works["DynamicLinear"] if "DynamicLinear" in kinds else works["QNNPACK"]

    monkeypatch.setattr(auto, "measure_speed", measured)
    monkeypatch.setattr(auto, "count_work", counted)
    assert choice(fashion).chosen.name == "dynamic-fx"
    works["DynamicLinear"] = 60
    result = choice(fashion)
    assert [row.work for row in result.candidates] == [60] * 4
    assert result.chosen.name == "static-xnnpack-fx"


def test_auto_says_when_int8_is_more_work_than_float(
    fashion: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "count_work", lambda m, _: 10**6 if m is fashion.model else 9 * 10**6)
    (note,) = [note for note in choice(fashion).notes if "more work for a phone" in note]
    assert "static-xnnpack-fx is 9 million" in note
    assert "float32 1." in note


def test_a_network_whose_work_is_unknown_is_refused_before_the_work(fashion: Task) -> None:
    class Far(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            flat = x.flatten(1)
            return torch.cdist(flat, flat[:1])

    said: list[str] = []
    with pytest.raises(UncountedWork, match="aten::_cdist_forward"):
        choose(
            Far().eval(),
            recipes_named("auto"),
            fashion.images,
            Exam(measured=[fashion.measured[0][:8]]),
            tell=lambda what, done, total: said.append(what),
        )
    assert not said


def test_a_budget_nothing_meets_shows_the_table(fashion: Task) -> None:
    with pytest.raises(
        BudgetNotMet, match=r"(?s)nothing was written.*\| static-xnnpack-fx \|"
    ) as e:
        choose(
            fashion.model,
            recipes_named("auto"),
            fashion.images,
            Exam(
                measured=[fashion.measured[0][:64]],
                labels=fashion.labels[:64],
                budget=Budget(max_accuracy_drop=-50.0),
            ),
        )
    assert e.value.exit_code == 2
