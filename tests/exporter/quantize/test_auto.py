"""Candidates, the table of them, and the fastest within the budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from torch import nn

from exporter.errors import (
    BudgetNotMet,
)
from exporter.options import Budget
from exporter.quantize import auto
from exporter.quantize.auto import Exam, choose
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
    assert result.chosen.speed.milliseconds <= 1.05 * min(r.speed.milliseconds for r in within)
    table = result.table()
    assert all(f"| {name} |" in table for name in by_name)
    assert "chosen" in table
    assert said[-1] == "measuring latency"


@pytest.mark.parametrize(
    ("qnnpack", "chosen"), [(9.8, "static-xnnpack-fx"), (9.0, "static-qnnpack-fx")]
)
def test_a_clock_that_cannot_tell_two_recipes_does_not_choose_between_them(
    qnnpack: float, chosen: str, fashion: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {"none": 20.0, "static-xnnpack-fx": 10.0, "static-qnnpack-fx": qnnpack}

    def measured(modules: Mapping[str, nn.Module], *_: Any, **__: Any) -> dict[str, Speed]:
        return {n: Speed(milliseconds=times.get(n, 30.0), bytes=1) for n in modules}

    monkeypatch.setattr(auto, "measure_speed", measured)
    result = choose(
        fashion.model,
        recipes_named("auto"),
        fashion.images,
        Exam(measured=[fashion.measured[0][:64]], budget=Budget(min_agreement=0.5)),
    )
    assert result.chosen.name == chosen
    assert any(f"{chosen} was chosen of 3 by times" in note for note in result.notes)


def test_auto_says_when_int8_is_slower_than_float(
    fashion: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(modules: Mapping[str, nn.Module], *_: Any, **__: Any) -> dict[str, Speed]:
        return {n: Speed(milliseconds=1.0 if n == "none" else 9.0, bytes=1) for n in modules}

    monkeypatch.setattr(auto, "measure_speed", slow)
    result = choose(
        fashion.model,
        recipes_named("auto"),
        fashion.images,
        Exam(measured=[fashion.measured[0][:64]]),
    )
    assert any("slower than float32" in note for note in result.notes)


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
