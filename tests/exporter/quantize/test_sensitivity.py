"""Which layers int8 hurts, and the fewest to keep in float."""

from __future__ import annotations

import math

import pytest
from torch import nn

from exporter.errors import (
    BudgetNotMet,
    QuantizeError,
)
from exporter.options import Budget
from exporter.quantize.calibrate import (
    calibrate,
)
from exporter.quantize.place import Simulated, simulate_int8
from exporter.quantize.sensitivity import measure_sensitivity, smallest_float_set
from exporter.recipes import RECIPES

from .conftest import Task


@pytest.fixture(scope="module")
def simulated(spoilt: nn.Module, fashion: Task) -> Simulated:
    made = simulate_int8(
        spoilt,
        RECIPES["static-xnnpack"],
        example=fashion.example,
        calibration=fashion.calibration,
    )
    calibrate(made, fashion.calibration)
    return made


def test_the_harmful_layer_comes_first_both_ways(simulated: Simulated, fashion: Task) -> None:
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


def test_only_the_harmful_layer_is_kept_in_float(simulated: Simulated, fashion: Task) -> None:
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


def test_budget_without_labels_says_what_to_use(simulated: Simulated, fashion: Task) -> None:
    with pytest.raises(QuantizeError, match="--min-agreement"):
        smallest_float_set(simulated, [], fashion.measured[:1], Budget(max_accuracy_drop=1.0))
    with pytest.raises(QuantizeError, match="from 0 to 1"):
        Budget(min_agreement=95)


def test_a_budget_even_float_misses(simulated: Simulated, fashion: Task) -> None:
    rows = measure_sensitivity(simulated, [fashion.calibration[0][:4]], leave_one_out=False)
    with pytest.raises(BudgetNotMet, match="Even with every layer in float"):
        smallest_float_set(
            simulated,
            rows,
            fashion.measured[:1],
            Budget(max_accuracy_drop=-50.0),
            labels=fashion.labels[:256],
        )
