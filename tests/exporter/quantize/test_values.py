"""int8 for tasks of values (depth, numbers, pictures, keypoints): judged by SQNR, learned by it.

What is expected is computed here in numpy, from what the float module and the saved file give.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import exporter
from exporter.artifact import Artifact
from exporter.errors import BudgetNotMet, UsageError
from exporter.quantize.calibrate import calibrate
from exporter.quantize.place import simulate_int8
from exporter.quantize.qat import fine_tune
from exporter.quantize.sensitivity import measure_sensitivity
from exporter.recipes import QuantizeRecipe
from exporter.training import TrainingOptions
from runtime_check.metrics import VALUES
from runtime_check.runtimes.host import open_host

from ...data_sets import tensors_as_training_set
from .shapes import HEIGHT, WIDTH, Valued, as_input, drawn, trained_values, wanted_values, write

HALVES = exporter.PreprocessingChoice(mean=(0.5,) * 3, std=(0.5,) * 3, crop_mode="squash")
SEEN, _ = drawn(32, seed=2)
NEW, NEW_MAPS = drawn(24, seed=3)
UNITS = {
    "depth-estimation": "m",
    "image-regression": "%",
    "image-to-image": "",
    "keypoint-detection": "px",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(SEEN, tmp_path_factory.mktemp("values") / "seen")


@pytest.fixture(scope="module", params=list(UNITS))
def model(request: pytest.FixtureRequest) -> Valued:
    return trained_values(request.param)


@pytest.fixture(scope="module")
def depth() -> Valued:
    return trained_values("depth-estimation")


def export(model: nn.Module, out: Path, photos: Path, **options: Any) -> Artifact:
    asked: dict[str, Any] = {"preprocessing": HALVES, "calibration": photos, **options}
    if isinstance(model, Valued):
        asked |= {"task": model.kind, "unit": UNITS[model.kind] or None}
    return exporter.export(model, out=out, input_shape=(1, 3, HEIGHT, WIDTH), **asked)


def from_file(artifact: Artifact, pictures: np.ndarray) -> np.ndarray:
    with open_host(artifact.path) as session:
        return np.stack([session.forward([p.copy()]).outputs[0] for p in pictures])


def eager(model: nn.Module, pictures: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = model(as_input(pictures)).numpy()
    return found


def decibels(wanted: np.ndarray, got: np.ndarray) -> float:
    wanted, got = wanted.astype(np.float64).ravel(), got.astype(np.float64).ravel()
    return 10 * float(np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()))


def table(artifact: Artifact) -> list[dict[str, str]]:
    (text,) = (n.text for n in artifact.report.notes if n.text.startswith("| recipe |"))
    head, _, *rows = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines()]
    return [dict(zip(head, cells, strict=True)) for cells in rows]


def test_the_networks_under_test_have_learned_something(model: Valued) -> None:
    wanted = wanted_values(model.kind, NEW, NEW_MAPS).numpy()
    apart = float(np.mean((eager(model, NEW) - wanted) ** 2)) / float(np.var(wanted))
    assert apart < 0.5


def test_auto_chooses_by_noise_and_says_the_error_in_the_outputs_unit(
    model: Valued, photos: Path, tmp_path: Path
) -> None:
    artifact = export(model, tmp_path, photos, quantize="auto")
    assert artifact.metadata.task == model.kind
    assert artifact.metadata.quantization.method == "static"
    (chosen,) = (row for row in table(artifact) if row["verdict"] == "chosen")
    held_out = SEEN[::4]
    wanted, got = eager(model, held_out), from_file(artifact, held_out)
    got = got.reshape(wanted.shape)
    assert float(chosen["SQNR dB"]) == pytest.approx(decibels(wanted, got), abs=0.25)
    assert float(chosen["SQNR dB"]) >= 20.0
    heading = "mean error" + (f", {UNITS[model.kind]}" if UNITS[model.kind] else "")
    assert float(chosen[heading]) == pytest.approx(float(np.abs(wanted - got).mean()), rel=0.05)


def test_sensitivity_is_the_noise_of_each_layer_alone(model: Valued) -> None:
    x = as_input(SEEN)
    recipe = QuantizeRecipe.named("static", mode="eager")
    simulated = simulate_int8(model, recipe, example=x[:1], calibration=[x])
    calibrate(simulated, [x], metric=VALUES)
    rows = measure_sensitivity(simulated, [x[:8]], metric=VALUES)
    assert {row.name for row in rows} == {"a", "b", "head"}
    assert [row.alone_db for row in rows] == sorted(row.alone_db for row in rows)
    simulated.simulate([rows[0].name])
    with torch.no_grad():
        got = simulated.module(x[:8]).numpy()
    assert rows[0].alone_db == pytest.approx(decibels(eager(model, SEEN[:8]), got), abs=0.01)


def test_a_budget_of_noise_makes_layers_float(depth: Valued, photos: Path, tmp_path: Path) -> None:
    plain = export(depth, tmp_path / "plain", photos, quantize="static")
    held_out = SEEN[::4]
    wanted = eager(depth, held_out)
    reached = decibels(wanted, from_file(plain, held_out).reshape(wanted.shape))
    budget = exporter.Budget(min_sqnr_db=reached + 6)
    artifact = export(depth, tmp_path / "more", photos, quantize="auto", budget=budget)
    rows = {row["recipe"]: row for row in table(artifact)}
    assert rows["static-xnnpack-fx"]["verdict"] == f"misses {budget}"
    assert int(rows["static-xnnpack-fx + float layers"]["int8 layers"]) < 3
    got = from_file(artifact, held_out).reshape(wanted.shape)
    assert decibels(wanted, got) >= reached + 5.5


def test_noise_that_no_recipe_goes_below_is_said_with_the_table(
    depth: Valued, photos: Path, tmp_path: Path
) -> None:
    recipes = (QuantizeRecipe.named("static-xnnpack", float_layers=("a", "b")),)
    budget = exporter.Budget(min_sqnr_db=120.0)
    with pytest.raises(BudgetNotMet, match=r"(?s)SQNR >= 120\.0 dB.*\| mean error, m \|"):
        export(depth, tmp_path / "out", photos, quantize=recipes, budget=budget)
    assert not (tmp_path / "out").exists()


def test_distillation_repairs_a_damaged_start(model: Valued) -> None:
    """One epoch on 24 pictures; the loss before it is worked out in numpy."""
    x = as_input(SEEN)
    recipe = QuantizeRecipe.named("qat", mode="eager", epochs=1, learning_rate=3e-3)
    simulated = simulate_int8(copy.deepcopy(model), recipe, example=x[:1], calibration=[x])
    calibrate(simulated, [x], metric=VALUES)
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in simulated.layers.values():
            weight = layer.layer.weight
            weight.add_(torch.randn_like(weight) * 0.3 * weight.std())
    data = tensors_as_training_set(x, None, validation=8)
    trained = fine_tune(
        simulated, model, data, metric=VALUES, training=TrainingOptions(batch_size=4)
    )
    held_out = [*data.validation]
    wanted = eager(model, SEEN[held_out])
    simulated.simulate(simulated.layers)
    with torch.no_grad():
        got = simulated.module(x[held_out]).numpy()
    before, (after,) = trained.before, trained.epochs
    assert before.agreement is None
    assert trained.best_epoch == 0
    assert before.sqnr_db + 3 < after.accuracy.sqnr_db
    assert after.accuracy.sqnr_db == pytest.approx(decibels(wanted, got), abs=0.01)
    assert after.accuracy.mean_abs < before.mean_abs
    assert after.accuracy.mean_abs == pytest.approx(float(np.abs(wanted - got).mean()), rel=1e-3)


def test_qat_trains_values_through_the_pipeline(
    depth: Valued, photos: Path, tmp_path: Path
) -> None:
    recipe = QuantizeRecipe.named("qat", epochs=1, learning_rate=1e-4)
    artifact = export(depth, tmp_path, photos, quantize=recipe, train=photos)
    wanted = eager(depth, NEW)
    got = from_file(artifact, NEW).reshape(wanted.shape)
    assert decibels(wanted, got) > 20
    training = artifact.report.training
    assert training.metric == "sqnr_db"
    assert training.before > 20
    page = artifact.path.with_suffix(".report.html").read_text()
    assert "SQNR against float32" in page
    assert f"{training.before:.1f} dB" in page


class Unknown(nn.Module):
    """Nothing shows what its values are for, and nobody says it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.inner(x)
        return y.mean(3, keepdim=True).transpose(1, 3), 1000 * y.mean((1, 2, 3), keepdim=True)


def test_values_of_no_known_task_are_judged_by_their_noise(
    depth: Valued, photos: Path, tmp_path: Path
) -> None:
    artifact = export(Unknown(depth).eval(), tmp_path, photos, quantize="auto")
    assert artifact.metadata.task is None
    (chosen,) = (row for row in table(artifact) if row["verdict"] == "chosen")
    assert float(chosen["SQNR dB"]) >= 20
    assert chosen["mean error"] == ""  # of two outputs, whose units may differ


class Counts(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return (self.inner(x) > 3).sum((1, 2, 3)).reshape(-1, 1, 1)


@pytest.mark.parametrize(
    ("counts", "options", "says"),
    [
        (True, {}, "--quantize auto measures noise, which whole numbers do not have"),
        (False, {"budget": exporter.Budget(min_agreement=0.9)}, "--min-agreement is .*--min-sqnr"),
        (False, {"budget": exporter.Budget(max_accuracy_drop=1.0)}, "--max-accuracy-drop .*class"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_the_work(
    counts: bool, options: dict[str, Any], says: str, depth: Valued, photos: Path, tmp_path: Path
) -> None:
    net = Counts(depth).eval() if counts else depth
    with pytest.raises(UsageError, match=says):
        export(net, tmp_path / "out", photos, quantize="auto", **options)
    assert not (tmp_path / "out").exists()
