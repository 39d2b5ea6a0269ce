from __future__ import annotations

import copy
import math

import pytest
import torch

from exporter.errors import RecipeError
from exporter.quantize.calibrate import calibrate
from exporter.quantize.learned import begin_learning, end_learning, take_learned
from exporter.quantize.place import Simulated, simulate_int8
from exporter.recipes import QuantizeRecipe
from exporter.training import TrainingOptions

from .conftest import Task
from .train_together import run


@pytest.fixture
def simulated(fashion: Task) -> Simulated:
    recipe = QuantizeRecipe.named("qat", ranges="learned")
    made = simulate_int8(
        copy.deepcopy(fashion.model),
        recipe,
        example=fashion.example,
        calibration=fashion.calibration,
    )
    calibrate(made, fashion.calibration)
    made.watch_ranges(False)
    made.simulate(made.layers)
    return made


def test_learning_begins_where_calibration_ended(simulated: Simulated, fashion: Task) -> None:
    with torch.no_grad():
        fixed = simulated.module(fashion.measured[0])
        scales = begin_learning(simulated)
        assert all(scale.requires_grad for scale in scales)
        # The logarithm and back moves a scale by its last bit, and with it a value here and there.
        apart = (simulated.module(fashion.measured[0]) - fixed).abs()
        assert float((apart > 1e-5).float().mean()) < 0.1
        assert float(apart.max()) < 0.05 * float(fixed.std())
    grids = {name: layer.grids for name, layer in simulated.layers.items()}
    take_learned(simulated)
    for name, layer in simulated.layers.items():
        for before, after in zip(grids[name], layer.grids, strict=True):
            assert after.zero_point == before.zero_point
            assert after.scale == pytest.approx(before.scale, rel=1e-6)


def test_a_grid_that_two_layers_share_is_one_and_is_left_where_it_was_brought(
    simulated: Simulated,
) -> None:
    scales = begin_learning(simulated)
    with torch.no_grad():
        for scale in scales:
            scale.add_(math.log(2.0))
    before = {name: layer.grids for name, layer in simulated.layers.items()}
    take_learned(simulated)
    end_learning(simulated)
    joined = [name for name, layer in simulated.layers.items() if layer.reads_from]
    for name, layer in simulated.layers.items():
        assert layer.learned is None
        assert layer.grids[1].scale == pytest.approx(2 * before[name][1].scale)
    for name in joined:
        source = simulated.layers[simulated.layers[name].reads_from]
        assert simulated.layers[name].grids[0] == source.grids[1]


def has_grid(module: torch.nn.Module) -> bool:
    return hasattr(module, "scale") and hasattr(module, "zero_point")


def test_training_moves_the_ranges_and_converts_them() -> None:
    grids = []
    for ranges in ("fixed", "learned"):
        trained, made, _ = run(TrainingOptions(batch_size=8), ranges=ranges)
        assert trained.best_epoch >= 0
        # What the int8 kernels have: scale and zero point.
        grids.append([(m.scale, m.zero_point) for m in made.module.modules() if has_grid(m)])
        assert grids[-1]
    for fixed, learned in zip(*grids, strict=True):
        assert float(fixed[0]) != float(learned[0])
        assert float(learned[0]) == pytest.approx(float(fixed[0]), rel=0.9)
        assert int(learned[1]) == int(fixed[1])


def test_ranges_are_learned_by_what_trains() -> None:
    with pytest.raises(RecipeError, match="`--ranges` has no meaning for `static`"):
        QuantizeRecipe.named("static", ranges="learned")
