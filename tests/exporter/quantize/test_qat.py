from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from exporter.errors import NotFinite, TrainingDataError
from exporter.quantize.apply import QuantizeImages, quantize
from exporter.quantize.calibrate import calibrate
from exporter.quantize.describe import Quantized
from exporter.quantize.engine import quantized_engine
from exporter.quantize.evaluate import judge, run_batches
from exporter.quantize.place import simulate_int8
from exporter.quantize.qat import Trained, fine_tune
from exporter.recipes import RECIPES, QuantizeRecipe
from exporter.training import TrainingOptions
from runtime_check.metrics import CLASSES, VALUES, Metric

from ...data_sets import tensors_as_training_set
from .conftest import Task
from .nets import logits, smooth

RECIPE = replace(RECIPES["qat-xnnpack"], epochs=2, learning_rate=1e-4)


def made(
    fashion: Task,
    recipe: QuantizeRecipe = RECIPE,
    labels: bool = True,
    checkpoint: Path | None = None,
    **options: Any,
) -> Quantized:
    data = tensors_as_training_set(
        fashion.train, fashion.train_labels if labels else None, validation=32
    )
    images = replace(fashion.images, train=data, checkpoint=checkpoint)
    return quantize(fashion.model, recipe, images, **options)


@pytest.mark.parametrize(
    ("name", "labels"),
    [("qat-xnnpack", True), ("qat-qnnpack", True), ("qat-xnnpack-fx", False)],
)
def test_training_moves_weights_and_keeps_accuracy(fashion: Task, name: str, labels: bool) -> None:
    steps = []
    recipe = replace(RECIPES[name], epochs=1, learning_rate=1e-4)
    result = made(fashion, recipe, labels, tell=lambda *step: steps.append(step))
    assert steps[0][0] == "calibrating"
    assert steps[-1][0].startswith("training, epoch 1 of 1, loss ")
    assert steps[-1][1] == steps[-1][2] == 3  # 96 images in batches of 32
    assert len(result.trained.epochs) == 1
    assert result.int8_layers == 26
    with quantized_engine():
        outputs = run_batches(result.module, fashion.measured)
    found = judge(run_batches(fashion.model, fashion.measured), outputs, fashion.labels)
    assert found.drop <= 1.5
    assert (result.trained.before.accuracy is None) == (not labels)


def test_distillation_repairs_a_damaged_start(fashion: Task) -> None:
    """Noise on the weights must be trained away, towards the float model."""
    damaged = copy.deepcopy(fashion.model)
    recipe = replace(RECIPE, epochs=4, learning_rate=1e-4, equalize=False)
    simulated = simulate_int8(
        damaged, recipe, example=fashion.example, calibration=fashion.calibration
    )
    calibrate(simulated, fashion.calibration)
    with torch.no_grad():
        for layer in simulated.layers.values():
            layer.layer.weight.add_(torch.randn_like(layer.layer.weight) * 0.04)
    data = tensors_as_training_set(fashion.train, None, validation=32)
    trained = fine_tune(simulated, fashion.model, data, training=TrainingOptions(batch_size=16))
    first, best = trained.before.sqnr_db, trained.epochs[-1].accuracy.sqnr_db
    assert best > first + 0.5
    losses = [epoch.loss for epoch in trained.epochs]
    assert losses[-1] < losses[0]


class One(nn.Module):
    """Takes one image; more are mixed without a word, or refused."""

    def __init__(self, *, batches: bool, refuses: bool = False) -> None:
        super().__init__()
        self.batches, self.refuses = batches, refuses
        self.conv, self.head = nn.Conv2d(1, 6, 3), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        if self.refuses and len(x) != 1:
            raise RuntimeError("one at a time")
        y = torch.relu(self.conv(x))
        if not self.batches:
            y = y - y.mean()  # of all images
        return self.head(y.reshape(len(x), 6, -1).mean(2))


def trained(model: One, at_once: int | None, metric: Metric) -> tuple[Trained, list[Tensor]]:
    x = smooth(26, 1, 12)
    recipe = QuantizeRecipe.named("qat", mode="eager", epochs=2, learning_rate=1e-3)
    calibration = [x] if model.batches else [*x.split(1)]
    simulated = simulate_int8(copy.deepcopy(model), recipe, example=x[:1], calibration=calibration)
    calibrate(simulated, calibration, metric=metric)
    data = tensors_as_training_set(x, None, validation=5)
    result = fine_tune(
        simulated,
        model,
        data,
        metric=metric,
        training=TrainingOptions(batch_size=8),
        at_once=at_once,
    )
    return result, [p.detach().clone() for p in simulated.module.parameters()]


@pytest.mark.parametrize("metric", [CLASSES, VALUES, Metric(kind="vectors")])
def test_gradients_of_single_images_add_up_to_those_of_a_batch(metric: Metric) -> None:
    """21 images to train on: two batches of 8, and one of 5, which counts as the others do."""
    torch.manual_seed(3)
    model = One(batches=True).eval()
    torch.manual_seed(4)
    whole, weights = trained(model, None, metric)
    torch.manual_seed(4)
    single, others = trained(model, 1, metric)
    for one, other in zip(weights, others, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-4)
    for one, other in zip(whole.epochs, single.epochs, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=0.05)
        assert one.accuracy.images == other.accuracy.images == 5


def test_a_network_of_one_image_is_never_given_more() -> None:
    torch.manual_seed(3)
    result, _ = trained(One(batches=False, refuses=True).eval(), 1, CLASSES)
    assert [epoch.accuracy.images for epoch in result.epochs] == [5, 5]
    assert result.epochs[-1].loss < 0.1
    with pytest.raises(RuntimeError, match="one at a time"):
        trained(One(batches=False, refuses=True).eval(), None, CLASSES)


def test_a_resumed_run_ends_where_an_unbroken_one_ends(fashion: Task, tmp_path: Path) -> None:
    path = tmp_path / "qat.pt"

    class Stop(Exception):
        pass

    def stop_in_second_epoch(what: str, *_: int) -> None:
        if "epoch 2" in what:
            raise Stop

    with pytest.raises(Stop):
        made(fashion, checkpoint=path, tell=stop_in_second_epoch)
    resumed = made(fashion, checkpoint=path)
    unbroken = made(fashion)
    assert resumed.trained.resumed_from == 1
    assert unbroken.trained.resumed_from == 0
    with quantized_engine():
        torch.testing.assert_close(
            logits(resumed.module, fashion.measured[:1]),
            logits(unbroken.module, fashion.measured[:1]),
        )
    assert not list(tmp_path.glob("*.part"))


def test_checkpoint_of_another_recipe_or_a_damaged_one_is_refused(
    fashion: Task, tmp_path: Path
) -> None:
    path = tmp_path / "qat.pt"
    made(fashion, replace(RECIPE, epochs=1), checkpoint=path)
    with pytest.raises(TrainingDataError, match="another model, recipe"):
        made(fashion, replace(RECIPE, epochs=1, seed=7), checkpoint=path)
    path.write_bytes(b"rubbish")
    with pytest.raises(TrainingDataError, match="cannot be read"):
        made(fashion, checkpoint=path)


def test_an_absurd_learning_rate_leaves_the_calibrated_model(fashion: Task) -> None:
    result = made(fashion, replace(RECIPE, epochs=1, learning_rate=10.0))
    assert result.trained.best_epoch == -1
    with quantized_engine():
        outputs = run_batches(result.module, fashion.measured[:1])
    assert judge(run_batches(fashion.model, fashion.measured[:1]), outputs).agreement > 0.98


def test_a_loss_that_is_no_number_is_an_error(fashion: Task) -> None:
    images = fashion.train.clone()
    images[5] = float("nan")
    data = tensors_as_training_set(images, None, validation=32)
    with pytest.raises(NotFinite, match=r"epoch 1, .*learning rate"):
        quantize(
            fashion.model,
            RECIPE,
            QuantizeImages(example=fashion.example, calibration=fashion.calibration, train=data),
        )
