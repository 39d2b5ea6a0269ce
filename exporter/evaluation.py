"""Labeled images that every stage of an export is judged on, where the user has some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .errors import UsageError
from .outputs import run
from .plan import Plan
from .quantize.qat import training_set

# Every stage runs on all of them, one at a time: enough to tell a percent, in minutes.
MOST_IMAGES = 1000

Forward = Callable[[tuple[Tensor, ...]], Tensor]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Images with their classes.

    `load(i)` gives the arguments of the file's `forward` for image i; `classes[i]` is its index
    among the model's labels. `skipped` names files that are not readable images.
    """

    load: Callable[[int], tuple[Tensor, ...]]
    classes: tuple[int, ...]
    skipped: tuple[str, ...] = ()

    def accuracy(self, forward: Forward) -> float:
        """Return the share of images, 0 to 1, whose class scores highest in `forward`'s output."""
        hits = 0
        for index, label in enumerate(self.classes):
            hits += int(torch.argmax(forward(self.load(index)).reshape(-1))) == label
        return hits / len(self.classes)


def load_evaluation(plan: Plan, folder: Path | None) -> Evaluation | None:
    """Open a folder of class folders as what the file takes; None without a folder.

    An image artifact gets the pixels as they are in the file, a bare network what the stated
    preprocessing makes of them. Raises `UsageError` where the model has no labels to match class
    folders with, or does not say how it wants images, and `TrainingDataError` where the folders do
    not fit.
    """
    if folder is None:
        return None
    labels, reader = plan.source.labels, plan.reader
    if labels is None:
        raise UsageError(
            "--evaluate measures accuracy, and this model has no labels to match class folders "
            "with. Give them with --labels FILE, one a line."
        )
    if reader is None:
        raise UsageError(
            "--evaluate needs preprocessing, and this module does not say how it wants images: "
            "give --mean and --std."
        )

    def pixels(image: Image.Image) -> Tensor:
        values = torch.from_numpy(np.array(image.convert("RGB")))
        return values if plan.preprocess is not None else run(reader, (values,))[0]

    images = training_set(folder, pixels, classes=labels, limit=MOST_IMAGES)
    assert images.labels is not None, "classes were given"
    return Evaluation(
        load=lambda index: (images.load([index])[0],),
        classes=tuple(images.labels.tolist()),
        skipped=images.skipped,
    )
