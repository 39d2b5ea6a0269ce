"""The float model's answers to training images, each computed once while they are few."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from runtime_check.outputs import flatten

# Bytes of answers that are kept.
_MOST_ANSWERS = 2**30


class Teacher:
    """The float model, which is asked about each of `count` images once where `keep` says so.

    Answers to augmented images must not be kept. Images are known by their index.
    """

    def __init__(self, module: nn.Module, count: int, *, keep: bool) -> None:
        self.module = module.eval()
        self.count = count
        self.keep = keep
        self._kept: list[Tensor] = []
        self._known: set[int] = set()

    @torch.no_grad()
    def answers(self, indices: Sequence[int], images: Tensor) -> list[Tensor]:
        """Return the flat outputs for `images`, floats as float32."""
        rows = list(indices)
        if self.keep and self._known.issuperset(rows):
            return [outputs[rows] for outputs in self._kept]
        made = flatten(self.module(images))
        answers = [a.float() if a.is_floating_point() else a for a in made]
        if self.keep and self._can_keep(answers, len(rows)):
            for kept, answer in zip(self._kept, answers, strict=True):
                kept[rows] = answer
            self._known.update(rows)
        return answers

    def _can_keep(self, answers: Sequence[Tensor], images: int) -> bool:
        """Whether each image has its rows, as large as those before, and all fit in memory."""
        by_image = all(a.dim() > 0 and len(a) == images for a in answers)
        if by_image and not self._kept:
            size = sum(a[:1].numel() * a.element_size() for a in answers)
            if size * self.count <= _MOST_ANSWERS:
                self._kept = [a.new_empty((self.count, *a.shape[1:])) for a in answers]
        pairs = zip(self._kept, answers, strict=False)
        self.keep = (
            by_image and bool(self._kept) and all(k.shape[1:] == a.shape[1:] for k, a in pairs)
        )
        return self.keep
