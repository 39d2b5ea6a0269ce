"""Fine-tune with int8 simulated, with labels or by distillation from the float model.

Ranges come from calibration and stay; the weights learn to live with them. Weight scales follow
the weights at the start of every epoch. Each epoch is checkpointed, so an interrupted run goes
on where it stopped, and the best epoch by validation is what is converted.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runtime_check.files import whole_file
from runtime_check.metrics import CLASSES, Metric
from runtime_check.outputs import flatten

from ..errors import NotFinite, TrainingDataError, UsageError
from ..image.folders import Reader, open_folder, skipped_for
from ..image.read import Color, Skipped
from ..progress import Listener, silent
from .evaluate import Accuracy, judge, run_batches
from .losses import distillation, spreads_of
from .place import Simulated

# Images of a training folder that are used at most.
_MOST_IMAGES = 20_000
_VALIDATE_EVERY = 10


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Images as normalized batches, with class indices or without; made by `training_set`.

    `load(indices)` returns the batch (N,C,H,W) of those images. `labels` is None for
    distillation. `validation` holds indices that are never trained on.
    """

    load: Callable[[Sequence[int]], Tensor]
    count: int
    labels: Tensor | None
    validation: tuple[int, ...]
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One epoch's mean loss and the validation's figures, int8 simulated."""

    epoch: int
    loss: float
    accuracy: Accuracy


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The course of a fine-tuning; `before` is the validation before the first step."""

    before: Accuracy
    epochs: tuple[EpochResult, ...]
    best_epoch: int
    resumed_from: int


def training_set(
    folder: Path, reader: Reader, *, labels: Sequence[str] | None, color: Color = "RGB"
) -> TrainingSet:
    """Open `folder`: class folders named like the `labels`, or plain images to distill on.

    The reader gets them in `color`. Every tenth image validates. Raises ImageFolderError where
    folders and labels do not fit, TrainingDataError for less than two images.
    """
    images = open_folder(folder, labels=labels, limit=_MOST_IMAGES, color=color)
    if len(images) < 2:
        raise TrainingDataError(
            f"{folder} holds {len(images)} images that can serve"
            f"{''.join(f' ({some})' for some in skipped_for('training', images.skipped))}. "
            "Training needs at least two, and is worth its time from some hundreds on."
        )
    return TrainingSet(
        load=lambda indices: images.load(indices, reader),
        count=len(images),
        labels=None if images.classes is None else torch.tensor(images.classes),
        validation=tuple(range(0, len(images), _VALIDATE_EVERY)),
        skipped=images.skipped,
    )


def _batches(order: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(order), size):
        yield list(order[start : start + size])


def _score(accuracy: Accuracy) -> tuple[float, float]:
    first = accuracy.agreement if accuracy.accuracy is None else accuracy.accuracy
    return (first or 0.0, -1e9 if accuracy.sqnr_db is None else accuracy.sqnr_db)


def _fingerprint(simulated: Simulated, data: TrainingSet, batch_size: int) -> str:
    """Say what a checkpoint belongs to: another recipe, model or data must not resume it."""
    state = simulated.module.state_dict()
    recipe = {k: v for k, v in simulated.recipe.as_dict().items() if k != "epochs"}
    text = repr((recipe, sorted((k, tuple(v.shape)) for k, v in state.items()), data.count))
    digest = hashlib.sha256((text + str(batch_size)).encode())
    for layer in simulated.layers.values():
        digest.update(repr(layer.grids).encode())
    return digest.hexdigest()


def _write(state: dict[str, Any], path: Path) -> None:
    try:
        with whole_file(path) as part:
            torch.save(state, part)
    except RuntimeError as error:  # all that torch's writer says
        raise UsageError(
            f"--checkpoint: cannot write {path}: {str(error).splitlines()[0]}. Is the disk full?"
        ) from error


def _read(path: Path, fingerprint: str) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception as error:
        raise TrainingDataError(
            f"The checkpoint {path} cannot be read. Delete it to start over."
        ) from error
    if state.get("fingerprint") != fingerprint:
        raise TrainingDataError(
            f"The checkpoint {path} belongs to another model, recipe or set of images. Delete it "
            "or name another file."
        )
    return state


@dataclass
class _Course:
    """A fine-tuning under way: what a checkpoint holds, and what the next epoch goes on from."""

    simulated: Simulated
    teacher: nn.Module
    data: TrainingSet
    metric: Metric
    batch_size: int
    fingerprint: str
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    best: tuple[tuple[float, float], int, dict[str, Any]]  # score, epoch, weights
    results: list[EpochResult]
    at_once: int | None = None  # images that the network takes, where that is one number
    spreads: tuple[float, ...] = ()  # of the float model's outputs
    first: int = 0  # epoch to begin with

    @property
    def module(self) -> nn.Module:
        return self.simulated.module

    @property
    def trained_on(self) -> list[int]:
        return sorted(set(range(self.data.count)) - set(self.data.validation))

    @property
    def steps(self) -> int:
        return -(-len(self.trained_on) // self.batch_size)

    def validate(self) -> Accuracy:
        data = self.data
        chunks = [data.load(part) for part in self.parts(data.validation)]
        labels = None if data.labels is None else data.labels[list(data.validation)]
        wanted, got = run_batches(self.teacher, chunks), run_batches(self.module, chunks)
        self.spreads = self.spreads or spreads_of(wanted)
        return judge(wanted, got, labels, self.metric)

    def parts(self, images: Sequence[int]) -> Iterator[list[int]]:
        """Cut `images` into what the network is given at once."""
        return _batches(images, self.at_once or self.batch_size)


def fine_tune(
    simulated: Simulated,
    teacher: nn.Module,
    data: TrainingSet,
    *,
    metric: Metric = CLASSES,
    batch_size: int = 32,
    at_once: int | None = None,
    checkpoint: Path | None = None,
    tell: Listener = silent,
) -> Trained:
    """Train a calibrated `simulated` in place and leave its best epoch's weights in it.

    `teacher` is the float model; `metric` says what is learned and validated. Epochs,
    learning rate and seed are the recipe's. A network that takes `at_once` images and no other
    number is run on as many, and their gradients add up to those of a batch. With `checkpoint`,
    every epoch is saved there and an existing file is resumed. Raises NotFinite when the loss
    diverges.
    """
    recipe = simulated.recipe
    course = _begin(simulated, teacher, data, metric, batch_size)
    course.at_once = at_once
    before = course.validate()
    course.best = (_score(before), -1, copy.deepcopy(course.module.state_dict()))
    if checkpoint is not None and checkpoint.exists():
        _resume(course, checkpoint)
    for epoch in range(course.first, recipe.epochs):
        loss = _epoch(course, epoch, tell)
        accuracy = course.validate()
        course.results.append(EpochResult(epoch=epoch, loss=loss, accuracy=accuracy))
        if _score(accuracy) > course.best[0]:
            course.best = (_score(accuracy), epoch, copy.deepcopy(course.module.state_dict()))
        if checkpoint is not None:
            _save(course, epoch, checkpoint)
    course.module.load_state_dict(course.best[2])
    course.module.requires_grad_(False)
    return Trained(
        before=before,
        epochs=tuple(course.results),
        best_epoch=course.best[1],
        resumed_from=course.first,
    )


def _begin(
    simulated: Simulated, teacher: nn.Module, data: TrainingSet, metric: Metric, batch_size: int
) -> _Course:
    """Switch the module to training with int8 simulated; raise TrainingDataError without images."""
    trained_on = data.count - len(data.validation)
    if trained_on < 1 or not data.validation:
        raise TrainingDataError("There are no images left to train on, or none to validate with.")
    fingerprint = _fingerprint(simulated, data, batch_size)
    for layer in simulated.layers.values():
        layer.begin_training()
    simulated.watch_ranges(False)
    simulated.simulate(simulated.layers)
    module = simulated.module.requires_grad_(True)
    # Dropout and the like stay off: a few epochs adapt to rounding, they do not learn anew.
    module.eval()
    teacher.eval()
    recipe = simulated.recipe
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=0.0)
    total = -(-trained_on // batch_size) * recipe.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: max(0.0, 1.0 - step / total)
    )
    return _Course(
        simulated=simulated,
        teacher=teacher,
        data=data,
        metric=metric,
        batch_size=batch_size,
        fingerprint=fingerprint,
        optimizer=optimizer,
        schedule=schedule,
        best=((0.0, 0.0), -1, {}),
        results=[],
    )


def _resume(course: _Course, checkpoint: Path) -> None:
    """Go on from the last epoch that was saved."""
    state = _read(checkpoint, course.fingerprint)
    course.module.load_state_dict(state["module"])
    course.optimizer.load_state_dict(state["optimizer"])
    course.schedule.load_state_dict(state["schedule"])
    course.first = int(state["epoch"]) + 1
    course.best = (tuple(state["best_score"]), int(state["best_epoch"]), state["best"])
    course.results = [
        EpochResult(epoch=e["epoch"], loss=e["loss"], accuracy=Accuracy(**e["accuracy"]))
        for e in state["results"]
    ]


def _epoch(course: _Course, epoch: int, tell: Listener) -> float:
    """Train on every image once; return the mean loss. Raises NotFinite when it diverges."""
    recipe, trained_on = course.simulated.recipe, course.trained_on
    # Seeded by epoch, so that a resumed run sees what an unbroken one would have seen.
    generator = torch.Generator().manual_seed((recipe.seed * 1_000_003 + epoch) % 2**63)
    order = [trained_on[i] for i in torch.randperm(len(trained_on), generator=generator)]
    for layer in course.simulated.layers.values():
        layer.follow_weight()
    total = 0.0
    for step, chunk in enumerate(_batches(order, course.batch_size)):
        course.optimizer.zero_grad(set_to_none=True)
        value = sum(_learn(course, part, len(part) / len(chunk)) for part in course.parts(chunk))
        if value != value or value == float("inf"):
            raise NotFinite(
                f"Fine-tuning diverged in epoch {epoch + 1}, step {step + 1} (loss {value}). "
                f"Lower the learning rate (it was {recipe.learning_rate:g}), and check that "
                "the training images hold numbers."
            )
        course.optimizer.step()
        course.schedule.step()
        total += value
        what = f"training, epoch {epoch + 1} of {recipe.epochs}, loss {value:.3g}"
        tell(what, step + 1, course.steps)
    return total / course.steps


def _learn(course: _Course, images: list[int], share: float) -> float:
    """Add the gradients of some images, which are `share` of a batch; return their part of it."""
    x = course.data.load(images)
    with torch.no_grad():
        wanted = flatten(course.teacher(x))
    labels = None if course.data.labels is None else course.data.labels[images]
    loss = distillation(
        course.metric, flatten(course.module(x)), wanted, labels, spreads=course.spreads
    )
    (loss * share).backward()
    return float(loss.detach()) * share


def _save(course: _Course, epoch: int, checkpoint: Path) -> None:
    """Write everything that the next epoch goes on from."""
    score, best_epoch, best = course.best
    _write(
        {
            "fingerprint": course.fingerprint,
            "epoch": epoch,
            "module": course.module.state_dict(),
            "optimizer": course.optimizer.state_dict(),
            "schedule": course.schedule.state_dict(),
            "best_score": score,
            "best_epoch": best_epoch,
            "best": best,
            "results": [
                {"epoch": r.epoch, "loss": r.loss, "accuracy": vars(r.accuracy)}
                for r in course.results
            ],
        },
        checkpoint,
    )
