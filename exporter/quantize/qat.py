"""Fine-tune with int8 simulated, with labels or by distillation from the float model.

Ranges come from calibration, and stay or are learned (`learned`); the weights learn to live with
them. Weight scales follow the weights at the start of every epoch. `fine_tune` is the whole loop,
for one process and for many: Lightning Fabric, inside `Course`, moves what it holds to devices and
averages gradients. Each epoch is checkpointed, so an interrupted run goes on where it stopped, on
any number of devices, and the best epoch by validation is what is converted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from runtime_check.metrics import CLASSES, Metric

from ..progress import Listener, silent
from ..training import TrainingOptions
from .course import Course, EpochResult
from .evaluate import Accuracy
from .place import Simulated
from .training_data import TrainingSet


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The course of a fine-tuning; `before` is the validation before the first step."""

    before: Accuracy
    epochs: tuple[EpochResult, ...]
    best_epoch: int
    resumed_from: int


def fine_tune(
    simulated: Simulated,
    teacher: nn.Module,
    data: TrainingSet,
    *,
    metric: Metric = CLASSES,
    training: TrainingOptions | None = None,
    at_once: int | None = None,
    checkpoint: Path | None = None,
    tell: Listener = silent,
) -> Trained:
    """Train a calibrated `simulated` in place and leave its best epoch's weights in it.

    `teacher` is the float model; `metric` says what is learned and validated. Epochs,
    learning rate and seed are the recipe's. A network that takes `at_once` images and no other
    number is run on as many, and their gradients add up to those of a batch. With `checkpoint`,
    every epoch is saved there and an existing file is resumed. Raises NotFinite when the loss
    diverges, TrainingDataError without images, UsageError without the extra.
    """
    training = training or TrainingOptions()
    course = Course(simulated, teacher, data, metric, training, at_once)
    before = course.validate()
    course.keep_if_better(-1, before)
    course.resume(checkpoint)
    epochs = simulated.recipe.epochs
    for epoch in range(course.first, epochs):
        course.begin_epoch(epoch)
        for step, parts in enumerate(course.read()):
            course.set_rate((epoch + (step + 0.5) / course.order.steps) / epochs)
            loss = course.learn(parts)
            course.step(loss)
            course.tell(tell, loss, epoch, step + 1)
        with course.averaged():
            course.end_epoch(epoch, course.validate())
        course.save(epoch, checkpoint)
        if course.is_stalled(epoch):
            break
    course.finish()
    return Trained(
        before=before,
        epochs=tuple(course.results),
        best_epoch=course.best[1],
        resumed_from=course.first,
    )
