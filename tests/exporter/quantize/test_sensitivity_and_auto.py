import copy
import math

import pytest
import torch
from torch import nn

from exporter.errors import BudgetNotMet, QuantizeError
from exporter.options import Budget
from exporter.quantize import auto as auto_module
from exporter.quantize.apply import quantize
from exporter.quantize.auto import Exam, choose
from exporter.quantize.calibrate import calibrate
from exporter.quantize.evaluate import Speed
from exporter.quantize.place import simulate_int8
from exporter.quantize.sensitivity import measure_sensitivity, smallest_float_set
from exporter.recipes import RECIPES, recipes_named


@pytest.fixture(scope="module")
def spoilt(fashion):
    """The real ViT with one layer that int8 ruins: a huge activation, undone in float."""
    model = copy.deepcopy(fashion.model)

    class Ruin(nn.Module):
        def __init__(self, layer: nn.Linear) -> None:
            super().__init__()
            wide = nn.Linear(layer.in_features, layer.out_features + 1)
            with torch.no_grad():
                wide.weight[:-1] = layer.weight
                wide.bias[:-1] = layer.bias
                wide.weight[-1] = 0.0
                wide.bias[-1] = 3e3  # one constant channel takes the whole int8 range
            self.wide = wide

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.wide(x)[..., :-1]

    model.head = Ruin(model.head)
    return model.eval()


@pytest.fixture(scope="module")
def simulated(spoilt, fashion):
    made = simulate_int8(
        spoilt,
        RECIPES["static-xnnpack"],
        example=fashion.example,
        calibration=fashion.calibration,
    )
    calibrate(made, fashion.calibration)
    return made


def test_the_harmful_layer_comes_first_both_ways(simulated, fashion):
    steps = []
    rows = measure_sensitivity(
        simulated, [fashion.calibration[0]], tell=lambda *step: steps.append(step)
    )
    assert len(rows) == 26
    assert steps[-1] == ("sensitivity of the layers", 26, 26)
    assert rows[0].name == "head.wide"
    assert rows[0].alone_db < rows[1].alone_db - 10
    assert rows[0].without_db == max(row.without_db for row in rows)
    assert rows[0].without_db > rows[0].all_db + 10
    assert all(math.isfinite(row.alone_db) for row in rows)


def test_only_the_harmful_layer_is_kept_in_float(simulated, fashion):
    rows = measure_sensitivity(simulated, [fashion.calibration[0]], leave_one_out=False)
    found = smallest_float_set(simulated, rows, fashion.measured[:1], Budget(min_agreement=0.97))
    assert found.float_layers == ("head.wide",)
    assert found.accuracy.agreement >= 0.97
    drop = smallest_float_set(
        simulated,
        rows,
        fashion.measured[:1],
        Budget(max_accuracy_drop=1.0),
        labels=fashion.labels[:256],
    )
    assert drop.float_layers == ("head.wide",)


def test_budget_without_labels_says_what_to_use(simulated, fashion):
    with pytest.raises(QuantizeError, match="--min-agreement"):
        smallest_float_set(simulated, [], fashion.measured[:1], Budget(max_accuracy_drop=1.0))
    with pytest.raises(QuantizeError, match="from 0 to 1"):
        Budget(min_agreement=95)


def test_a_budget_even_float_misses(simulated, fashion):
    rows = measure_sensitivity(simulated, [fashion.calibration[0][:4]], leave_one_out=False)
    with pytest.raises(BudgetNotMet, match="Even with every layer in float"):
        smallest_float_set(
            simulated,
            rows,
            fashion.measured[:1],
            Budget(max_accuracy_drop=-50.0),
            labels=fashion.labels[:256],
        )


def test_auto_rescues_with_float_layers_and_shows_the_table(spoilt, fashion):
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
    assert result.chosen.speed.milliseconds == min(r.speed.milliseconds for r in within)
    table = result.table()
    assert all(f"| {name} |" in table for name in by_name)
    assert "chosen" in table
    assert said[-1] == "measuring latency"


def test_auto_says_when_int8_is_slower_than_float(fashion, monkeypatch):
    def slow(modules, *_, **__):
        return {n: Speed(milliseconds=1.0 if n == "none" else 9.0, bytes=1) for n in modules}

    monkeypatch.setattr(auto_module, "measure_speed", slow)
    result = choose(
        fashion.model,
        recipes_named("auto"),
        fashion.images,
        Exam(measured=[fashion.measured[0][:64]]),
    )
    assert any("slower than float32" in note for note in result.notes)


def test_a_budget_nothing_meets_shows_the_table(fashion):
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


def test_float_reference_is_not_touched(fashion):
    before = copy.deepcopy(fashion.model.state_dict())
    quantize(
        fashion.model,
        RECIPES["static-xnnpack"],
        fashion.images,
    )
    after = fashion.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
