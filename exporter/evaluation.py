"""Labeled images that every stage of an export is judged on, where the user has some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Forward = Callable[[tuple[Tensor, ...]], Tensor]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Images with their classes; `load(i)` gives the arguments of the file's `forward`."""

    load: Callable[[int], tuple[Tensor, ...]]
    classes: tuple[int, ...]

    def accuracy(self, forward: Forward) -> float:
        """Return the share of images, 0 to 1, whose class scores highest in `forward`'s output."""
        hits = 0
        for index, wanted in enumerate(self.classes):
            hits += int(torch.argmax(forward(self.load(index)).reshape(-1))) == wanted
        return hits / len(self.classes)
