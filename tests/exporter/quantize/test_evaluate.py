"""What int8 costs and gains: judged, timed, and the same in a lite file."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from exporter.errors import (
    QuantizeError,
)
from exporter.options import Budget
from exporter.quantize.engine import quantized_engine, require_single_weights
from exporter.quantize.evaluate import judge, load_lite, measure_speed, meets, save_for_timing
from exporter.recipes import RECIPES
from runtime_check.metrics import VALUES, Metric

from .conftest import MadeInt8, Task

POST_TRAINING = [name for name, r in RECIPES.items() if r.method in ("dynamic", "static")]


@pytest.mark.parametrize("name", POST_TRAINING)
def test_lite_file_computes_what_eager_int8_computes(
    fashion_int8: MadeInt8, fashion: Task, name: str, tmp_path: Path
) -> None:
    made = fashion_int8(name)
    path = tmp_path / "model.ptl"
    save_for_timing(made.module, fashion.example, path)
    require_single_weights(path)
    batch = fashion.measured[0][:1]
    with quantized_engine(), torch.inference_mode():
        torch.testing.assert_close(load_lite(path)(batch), made.module(batch), rtol=1e-4, atol=1e-4)


def test_a_comparison_needs_labels_for_accuracy() -> None:
    reference = torch.tensor([[3.0, 1.0], [1.0, 3.0], [2.0, 1.0], [0.0, 1.0]])
    actual = torch.tensor([[3.0, 1.0], [3.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    plain = judge([[reference]], [[actual]])
    assert (plain.images, plain.agreement, plain.accuracy, plain.drop) == (4, 0.75, None, None)
    labeled = judge([[reference]], [[actual]], torch.tensor([0, 1, 0, 0]))
    assert (labeled.float_accuracy, labeled.accuracy, labeled.drop) == (0.75, 0.5, 25.0)


def test_a_budget_is_met_or_not() -> None:
    reference = torch.eye(4)
    actual = reference[[0, 1, 2, 2]]
    accuracy = judge([[reference]], [[actual]], torch.arange(4))
    assert meets(accuracy, Budget())
    assert meets(accuracy, Budget(min_agreement=0.75))
    assert not meets(accuracy, Budget(min_agreement=0.76))
    assert meets(accuracy, Budget(max_accuracy_drop=25.0))
    assert not meets(accuracy, Budget(max_accuracy_drop=24.9))
    # Power 4 of the reference, 2 of the difference: 10 log10(2) = 3.01 dB.
    assert meets(accuracy, Budget(min_sqnr_db=3.0))
    assert not meets(accuracy, Budget(min_sqnr_db=3.02))
    assert not meets(accuracy, Budget(min_sqnr_db=3.0, min_agreement=0.76))
    with pytest.raises(QuantizeError, match="--min-agreement"):
        meets(judge([[reference]], [[actual]]), Budget(max_accuracy_drop=1.0))


def test_values_have_a_mean_error_and_no_agreement() -> None:
    first, second = [torch.tensor([[1.0], [3.0]])], [torch.tensor([[10.0]])]
    got = [[first[0] + 0.5], [second[0] - 2.0]]
    found = judge([first, second], got, metric=VALUES)
    assert found.mean_abs == pytest.approx((0.5 + 0.5 + 2) / 3)
    assert found.sqnr_db == pytest.approx(10 * math.log10(110 / (0.25 + 0.25 + 4)))
    assert (found.images, found.agreement) == (3, None)
    # Of several outputs the units may differ; of shapes that do there is no difference at all.
    assert judge([first * 2], [got[0] * 2], metric=Metric(kind="none", outputs=2)).mean_abs is None
    assert judge([first], [second], metric=VALUES).mean_abs is None
    assert judge([first], [got[0]]).mean_abs is None  # of classes


def test_speed_is_of_each_file_with_its_size() -> None:
    modules = {"small": nn.Linear(8, 8).eval(), "large": nn.Linear(8, 4096).eval()}
    speeds = measure_speed(modules, torch.randn(1, 8), rounds=2, warm_up=1)
    assert set(speeds) == set(modules)
    assert speeds["large"].bytes > speeds["small"].bytes + 4096 * 8 * 3
    assert all(speed.milliseconds > 0 for speed in speeds.values())
