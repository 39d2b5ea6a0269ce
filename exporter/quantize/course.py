"""A fine-tuning under way: what each step of the loop in `qat` does and what is saved of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runtime_check.metrics import Metric
from runtime_check.outputs import flatten

from ..errors import NotFinite, TrainingDataError
from ..progress import Listener
from ..training import TrainingOptions
from . import checkpoint as checkpoints
from .evaluate import Accuracy, Outputs, judge, on_device, run_batches
from .learned import RATE, begin_learning, end_learning, take_learned
from .losses import distillation, spreads_of
from .place import Simulated
from .processes import gathered, start
from .schedule import Average, rate_at
from .teacher import Teacher
from .training_data import Order, Part, TrainingSet, balancing, chunks, loader

# Images judged at once; without gradients they take little.
_JUDGED_AT_ONCE = 64
# Steps between two looks at the loss. A GPU is waited for at each.
_STEPS_UNSEEN = 10


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One epoch's mean loss and the validation's figures, int8 simulated."""

    epoch: int
    loss: float
    accuracy: Accuracy


class Course:
    """What the loop works on: the module, its teacher, the images, the optimizer, the best so far.

    Raises TrainingDataError without images to train on or to validate with.
    """

    def __init__(
        self,
        simulated: Simulated,
        teacher: nn.Module,
        data: TrainingSet,
        metric: Metric,
        training: TrainingOptions,
        at_once: int | None,
    ) -> None:
        trained_on = data.trained_on
        if not trained_on or not data.validation:
            raise TrainingDataError(
                "There are no images left to train on, or none to validate with."
            )
        self.simulated, self.data, self.metric, self.training = simulated, data, metric, training
        self.at_once = at_once
        self.fingerprint = checkpoints.fingerprint(
            simulated, data.count, options=repr(_shaping(training))
        )
        self.fabric = start(training)
        self.order = Order(
            trained_on=trained_on,
            batch_size=training.batch_size,
            seed=simulated.recipe.seed,
            at_once=at_once,
            weights=balancing(data.labels, trained_on) if training.balanced else None,
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
        )
        on_cuda = self.fabric.device.type == "cuda"
        self.loader = loader(data, self.order, training, pinned=on_cuda)
        self._begin_training(teacher)
        self.results: list[EpochResult] = []
        self.best: tuple[tuple[float, float], int, dict[str, Tensor]] = ((-1.0, 0.0), -1, {})
        self.first = 0
        self.spreads: tuple[float, ...] = ()
        self._losses = torch.zeros((), device=self.fabric.device)

    def _begin_training(self, teacher: nn.Module) -> None:
        """Put module and teacher where they train, and make the optimizer."""
        simulated, device = self.simulated, self.fabric.device
        for layer in simulated.layers.values():
            layer.begin_training()
        simulated.watch_ranges(False)
        simulated.simulate(simulated.layers)
        # Dropout and the like stay off: a few epochs adapt to rounding, they do not learn anew.
        module = simulated.module.requires_grad_(True).eval().to(device)
        if device.type != "cpu":
            teacher = copy.deepcopy(teacher).to(device)
        keep = self.training.augment == "none"
        self.teacher = Teacher(teacher, self.data.count, keep=keep)
        learns = simulated.recipe.ranges == "learned"
        ranges = begin_learning(simulated) if learns else []
        known = {id(p) for p in ranges}
        weights = [p for p in module.parameters() if p.requires_grad and id(p) not in known]
        self.average = Average([*weights, *ranges], self.training.ema)
        groups = [{"params": weights, "relative": 1.0}, {"params": ranges, "relative": RATE}]
        optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=simulated.recipe.learning_rate,
            weight_decay=0.0,
            fused=device.type in ("cpu", "cuda"),
        )
        self.module, self.optimizer = self.fabric.setup(module, optimizer)

    def begin_epoch(self, epoch: int) -> None:
        """Shuffle, and let the scales follow the weights."""
        self.order.epoch = epoch
        self._losses.zero_()
        self._follow_weights()

    def _follow_weights(self) -> None:
        for layer in self.simulated.layers.values():
            layer.follow_weight()

    def read(self) -> Iterator[list[tuple[Part, Tensor]]]:
        """Yield this process's parts of each step, with their images."""
        step: list[tuple[Part, Tensor]] = []
        for part, images in self.loader:
            step.append((part, images))
            if part.ends_step:
                yield step
                step = []

    def set_rate(self, progress: float) -> None:
        """Set the rate of a step; `progress` (0 to 1) is where its middle is among all steps."""
        rate = self.simulated.recipe.learning_rate * rate_at(progress, self.training.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["relative"]

    def learn(self, parts: Sequence[tuple[Part, Tensor]]) -> Tensor:
        """Add up the gradients of a step's parts; return this process's loss."""
        return torch.stack([self._learn(part, images) for part, images in parts]).sum()

    def _learn(self, part: Part, images: Tensor) -> Tensor:
        """Add the gradients of a part; return its part of the step's loss."""
        images = self.fabric.to_device(images)
        with self.fabric.autocast():
            wanted = self.teacher.answers(part.images, images)
        labels = self.data.labels
        if labels is not None:
            (labels,) = on_device([labels[list(part.images)]], self.fabric.device)
        waits = self.fabric.world_size > 1 and not part.ends_step
        with self.fabric.no_backward_sync(self.module, enabled=waits):
            outputs = flatten(self.module(images))
            loss = distillation(self.metric, outputs, wanted, labels, spreads=self.spreads)
            self.fabric.backward(loss * part.share)
        return loss.detach() * part.share

    def step(self, loss: Tensor) -> None:
        """Move the weights by what was learned."""
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update()
        self._losses += loss

    def tell(self, tell: Listener, loss: Tensor, epoch: int, step: int) -> None:
        """Say how far an epoch is; raises NotFinite where the loss is no number any more."""
        if step % _STEPS_UNSEEN and step < self.order.steps:
            return
        value, recipe = float(loss), self.simulated.recipe
        if not torch.isfinite(self._losses):
            raise NotFinite(
                f"Fine-tuning diverged in epoch {epoch + 1}, by step {step} (loss {value}). "
                f"Lower the learning rate (it was {recipe.learning_rate:g}), and check that "
                "the training images hold numbers."
            )
        if self.fabric.is_global_zero:
            what = f"training, epoch {epoch + 1} of {recipe.epochs}, loss {value:.3g}"
            tell(what, step, self.order.steps)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the module have the averaged weights inside, where there is an average."""
        with self.average.in_place():
            self._follow_weights()
            yield

    def validate(self) -> Accuracy:
        """Judge the module, in float32 whatever it trains in, against the float model."""
        if self.simulated.recipe.ranges == "learned":
            take_learned(self.simulated)
        wanted = self._outputs(self.teacher.module)
        self.spreads = self.spreads or spreads_of(wanted)
        labels = self.data.labels
        labels = None if labels is None else labels[list(self.data.validation)]
        return judge(wanted, self._outputs(self.simulated.module), labels, self.metric)

    def _outputs(self, module: nn.Module) -> Outputs:
        """Run the validation images, shared among the processes; the outputs of all of them."""
        order = self.order
        parts = chunks(self.data.validation, self.at_once or _JUDGED_AT_ONCE)
        mine = (self.data.load(part) for part in parts[order.rank :: order.world])
        return gathered(run_batches(module, mine), self.fabric)

    def end_epoch(self, epoch: int, accuracy: Accuracy) -> None:
        """Note what an epoch came to, in the logs too; keep its weights if they are the best."""
        mean = self.fabric.all_reduce(self._losses / self.order.steps, reduce_op="mean")
        self.results.append(EpochResult(epoch=epoch, loss=float(mean), accuracy=accuracy))
        self._log(self.results[-1])
        self.keep_if_better(epoch, accuracy)

    def keep_if_better(self, epoch: int, accuracy: Accuracy) -> None:
        """Keep the weights as they are, if no epoch before was as good."""
        score = _score(accuracy)
        if score > self.best[0]:
            state = self.simulated.module.state_dict()
            self.best = (score, epoch, {k: v.detach().cpu().clone() for k, v in state.items()})

    def _log(self, result: EpochResult) -> None:
        figures = {k: v for k, v in vars(result.accuracy).items() if v is not None}
        values = {"epoch": result.epoch + 1, "loss": result.loss, **figures}
        self.fabric.log_dict(values, step=result.epoch + 1)

    def is_stalled(self, epoch: int) -> bool:
        """Whether none of the last `patience` epochs was the best."""
        patience = self.training.patience
        return patience is not None and epoch - self.best[1] >= patience

    def resume(self, checkpoint: Path | None) -> None:
        """Go on from the last epoch that was saved, by however many processes."""
        state: dict[str, Any] | None = None
        if checkpoint is not None and self.fabric.is_global_zero and checkpoint.exists():
            state = checkpoints.read(checkpoint, self.fingerprint)
        state = self.fabric.broadcast(state)  # only the first machine needs the file
        if state is None:
            return
        self.simulated.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        for value, saved in zip(self.average.values, state["average"], strict=True):
            value.copy_(saved)
        self.average.steps = int(state["average_steps"])
        self.first = int(state["epoch"]) + 1
        self.best = (tuple(state["best_score"]), int(state["best_epoch"]), state["best"])
        self.results = [
            EpochResult(epoch=e["epoch"], loss=e["loss"], accuracy=Accuracy(**e["accuracy"]))
            for e in state["results"]
        ]
        for result in self.results:
            self._log(result)

    def save(self, epoch: int, checkpoint: Path | None) -> None:
        """Write everything that the next epoch goes on from."""
        if checkpoint is None or not self.fabric.is_global_zero:
            return
        score, best_epoch, best = self.best
        results = [
            {"epoch": r.epoch, "loss": r.loss, "accuracy": asdict(r.accuracy)} for r in self.results
        ]
        state = {
            "fingerprint": self.fingerprint,
            "epoch": epoch,
            "module": self.simulated.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.values,
            "average_steps": self.average.steps,
            "best_score": score,
            "best_epoch": best_epoch,
            "best": best,
            "results": results,
        }
        checkpoints.write(state, checkpoint)

    def finish(self) -> None:
        """Leave the best epoch's weights in the module, on the CPU, where it is converted."""
        module = self.simulated.module
        module.load_state_dict(self.best[2])
        if self.simulated.recipe.ranges == "learned":
            take_learned(self.simulated)
            end_learning(self.simulated)
        module.requires_grad_(False).to("cpu")


def _score(accuracy: Accuracy) -> tuple[float, float]:
    first = accuracy.agreement if accuracy.accuracy is None else accuracy.accuracy
    return (first or 0.0, -1e9 if accuracy.sqnr_db is None else accuracy.sqnr_db)


def _shaping(training: TrainingOptions) -> tuple[object, ...]:
    """Return the options that a checkpoint depends on.

    Devices may change, and with their number the images that each takes in a step.
    """
    return (
        training.augment,
        training.warmup,
        training.ema,
        training.balanced,
    )
