"""Fine-tune a tiny network; what `torchrun` starts for test_processes.py.

`python -m tests.exporter.quantize.train_together OUT BATCH_SIZE CHECKPOINT [KEPT]`: with KEPT, the
second process is killed in the second epoch of its first life, and KEPT gets the checkpoint so far.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from exporter.quantize.apply import finish
from exporter.quantize.calibrate import calibrate
from exporter.quantize.course import Course
from exporter.quantize.describe import Quantized
from exporter.quantize.engine import quantized_engine
from exporter.quantize.place import simulate_int8
from exporter.quantize.qat import Trained, fine_tune
from exporter.recipes import QuantizeRecipe
from exporter.training import TrainingOptions
from runtime_check.metrics import VALUES

from ...data_sets import tensors_as_training_set
from .nets import smooth

EPOCHS = 3


class Tiny(nn.Module):
    """A convolution and a classifier of four classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 6, 3), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


def run(
    training: TrainingOptions, checkpoint: Path | None = None, **recipe: Any
) -> tuple[Trained, Quantized, dict[str, Tensor]]:
    """Train on 29 images, in as many processes as there are; return what it comes to.

    That is the course, the int8 network and the trained float weights. 29 images in steps of 8 end
    with one of 5, of which two processes get 3 and 2.
    """
    torch.set_num_threads(1)
    torch.manual_seed(3)
    model = Tiny().eval()
    x = smooth(36, 1, 12)
    chosen = {"mode": "eager", "epochs": EPOCHS, "learning_rate": 1e-2, **recipe}
    made = replace(QuantizeRecipe.named("qat"), **chosen)
    with quantized_engine():
        simulated = simulate_int8(model, made, example=x[:1], calibration=[x])
        calibrate(simulated, [x])
        with torch.no_grad():
            for layer in simulated.layers.values():  # there is something to win back
                layer.layer.weight.add_(torch.randn_like(layer.layer.weight) * 0.1)
        data = tensors_as_training_set(x, None, validation=7)
        trained = fine_tune(
            simulated, model, data, metric=VALUES, training=training, checkpoint=checkpoint
        )
        state = {k: v.clone() for k, v in simulated.module.state_dict().items()}
        return trained, finish(simulated, x[:1], trained=trained), state


def die_in_the_second_epoch(checkpoint: Path, kept: Path) -> None:
    """Kill this process there if it is the second, once."""
    begin = Course.begin_epoch

    def begin_or_die(course: Course, epoch: int) -> None:
        if epoch == 1 and course.fabric.global_rank == 1:
            while not checkpoint.exists():  # the first process is about to write it
                time.sleep(0.05)
            shutil.copy(checkpoint, kept)
            os.kill(os.getpid(), signal.SIGKILL)
        begin(course, epoch)

    Course.begin_epoch = begin_or_die  # type: ignore[method-assign]  # a test's fault


def main() -> None:
    out, batch_size, checkpoint, *kept = sys.argv[1:]
    if kept and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        die_in_the_second_epoch(Path(checkpoint), Path(kept[0]))
    trained, _, state = run(TrainingOptions(batch_size=int(batch_size)), Path(checkpoint))
    if os.environ["RANK"] == "0":
        losses = [epoch.loss for epoch in trained.epochs]
        torch.save({"state": state, "losses": losses, "first": trained.resumed_from}, out)


if __name__ == "__main__":
    main()
