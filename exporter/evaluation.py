"""Labeled images that every stage of an export is judged on, where the user has some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .errors import UsageError
from .image.folders import SkippedImages, open_folder, skipped_for
from .image.preprocess import COLORS, Preprocess
from .outputs import run

# Every stage runs on all of them, one at a time: enough to tell a percent, in minutes.
MOST_IMAGES = 1000

# Gives the file's outputs.
Forward = Callable[[tuple[Tensor, ...]], Sequence[Tensor]]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Images with their classes.

    `load(i)` gives the arguments of the file's `forward` for image i; `classes[i]` is its index
    among the model's labels, whose scores are the file's output `output`. `skipped` sums up the
    files that cannot serve.
    """

    load: Callable[[int], tuple[Tensor, ...]]
    classes: tuple[int, ...]
    output: int = 0
    skipped: tuple[SkippedImages, ...] = ()

    def accuracy(self, forward: Forward) -> float:
        """Return the share of images, 0 to 1, whose class scores highest in `forward`'s outputs."""
        hits = 0
        for index, label in enumerate(self.classes):
            scores = forward(self.load(index))[self.output]
            hits += int(torch.argmax(scores.reshape(-1))) == label
        return hits / len(self.classes)


def load_evaluation(
    folder: Path,
    labels: Sequence[str] | None,
    reader: Preprocess | None,
    *,
    as_photos: bool,
    output: int = 0,
) -> Evaluation | None:
    """Open a folder of class folders as what the file takes; None where its images have no class.

    `reader` turns uint8 H,W,C into the network's input. With `as_photos` the file takes the photos
    themselves. `output` is which of its outputs has the classes. Images have no class where the
    folder has no subfolders, or the model no labels. Raises `UsageError` where the model does not
    say how it wants images, and `ImageFolderError` where the folder is missing or its class folders
    match no label.
    """
    if reader is None:
        raise UsageError(
            "--evaluate needs preprocessing, and this module does not say how it wants images: "
            "give --mean and --std."
        )

    def as_input(pixels: np.ndarray) -> Tensor:
        photo = torch.from_numpy(pixels)
        return photo if as_photos else run(reader, (photo,))[0][0]

    def load(index: int) -> tuple[Tensor, ...]:
        batch = images.load([index], as_input)
        return (batch[0] if as_photos else batch,)

    images = open_folder(folder, labels=labels, limit=MOST_IMAGES, color=COLORS[reader.channels])
    if images.classes is None:
        return None
    skipped = skipped_for("evaluation", images.skipped)
    return Evaluation(load=load, classes=images.classes, output=output, skipped=skipped)
