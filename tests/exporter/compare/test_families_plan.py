"""The plan of timm's families: a plan like any other, of models that there are."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

from exporter.compare.plan import read_plan
from exporter.compare.result import Comparison
from tests.benchmarks import families, untrained

from .trials import comparison, failure

PLAN = Path(__file__).parents[3] / "tests" / "benchmarks" / "families.toml"


def test_every_module_of_timm_has_a_model_in_it() -> None:
    from timm.models._registry import _model_to_module, _module_to_models

    plan = read_plan(PLAN)
    names = [choice.model.removeprefix("tests.benchmarks.untrained:") for choice in plan.models]
    missing = {*_module_to_models} - {_model_to_module[name] for name in names}
    # Modules that are newer than the plan are added by `--choose`.
    assert len(missing) <= 3, missing
    assert len(names) == len({*names}) >= 95
    assert len(plan.trials()) == 4 * len(names)
    assert all(trial.input == "tensor" for trial in plan.trials())


def test_its_factories_are_timms_models_with_statistics_of_their_own() -> None:
    model = untrained.test_resnet()
    assert isinstance(model, torch.nn.Module)
    assert timm.is_model("test_resnet")
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(bool((norm.running_mean != 0).any()) for norm in norms)
    with pytest.raises(AttributeError, match="timm has no model called 'resnet_of_nobody'"):
        _ = untrained.resnet_of_nobody


def test_a_network_that_tells_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no network's outputs moved: each norm then has the statistics of what reaches it."""
    drawn = untrained.network("test_resnet")
    monkeypatch.setattr(untrained, "_moves", lambda one, other: False)
    measured = untrained.network("test_resnet")
    name = "bn1.running_var"
    assert not torch.equal(drawn.state_dict()[name], measured.state_dict()[name])
    assert not measured.training


def test_failures_of_a_comparison_are_rows_of_the_table(tmp_path: Path) -> None:
    values = {"model": "tests.benchmarks.untrained:test_resnet", "format": "pte"}
    found = comparison(
        failure("test_resnet", "It broke in /tmp/abc/file.").model_copy(
            update={**values, "format": "ptl", "recipe": "none"}
        ),
        failure("test_resnet-static", "Too wide.").model_copy(update=values),
    )
    rows = families.rows_of(Comparison.model_validate(found.model_dump()), tmp_path)
    (outcome,) = rows.values()
    assert outcome == {
        "model": "test_resnet",
        "ok": False,
        "error": "It broke in file.",
        "pte_int8": {"model": "test_resnet", "ok": False, "error": "Too wide."},
    }
