"""How QAT trains: on what, how fast, and what is written on the way; free of torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from runtime_check.values import require_types

from .checks import require_words
from .errors import UsageError

Accelerator = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["32", "bf16"]
Augmentation = Literal["none", "light", "rand"]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a fine-tuning runs; what it arrives at (epochs, learning rate, seed) is the recipe's.

    `accelerator` is where the network runs while it is calibrated, judged and trained; conversion
    to int8 is always the CPU's. `precision` is that of the products in training. `workers` are
    processes that read images, `batch_size` is in images a process. `augment` names one of timm's
    augmentations. `warmup` is the share of all steps in which the learning rate rises; from there
    it falls as a cosine. `ema` is the decay of a running average of the weights, which is then
    validated and kept. `balanced` draws every class as often as any other. `patience` is after how
    many epochs without a better one training ends. `log_dir` gets metrics.csv.

    Raises UsageError for values out of range.
    """

    accelerator: Accelerator = "cpu"
    precision: Precision = "32"
    workers: int = 0
    batch_size: int = 32
    augment: Augmentation = "none"
    warmup: float = 0.05
    ema: float | None = None
    balanced: bool = False
    patience: int | None = None
    log_dir: Path | None = None

    def __post_init__(self) -> None:
        require_types(self, UsageError)
        require_words(self)
        if not 0 <= self.workers <= 256:
            raise UsageError(f"--workers is a number of processes, 0 to 256, not {self.workers}.")
        if self.batch_size < 1:
            raise UsageError(
                f"--batch-size is a number of images from 1 on, not {self.batch_size}."
            )
        if not 0.0 <= self.warmup < 1.0:
            raise UsageError(f"--warmup is a share of all steps below 1, not {self.warmup:g}.")
        if self.ema is not None and not 0.0 < self.ema < 1.0:
            raise UsageError(f"--ema is a decay between 0 and 1, such as .99, not {self.ema:g}.")
        if self.patience is not None and self.patience < 1:
            raise UsageError(f"--patience is a number of epochs from 1 on, not {self.patience}.")

    def given(self) -> dict[str, object]:
        """Return the options that differ from their defaults, by their names there."""
        return {
            f"--{field.name.replace('_', '-')}": value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default
        }
