"""How the learning rate goes, and an average of the weights on their way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


def rate_at(progress: float, warmup: float) -> float:
    """Return the share of the learning rate after `progress` (0 to 1) of all steps.

    It rises in a line for the share `warmup` of the steps, then falls as half a cosine to 0.
    """
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup)))


class Average:
    """An exponential moving average of `weights`: `decay` of the old, the rest of the new.

    Without a decay it is the weights themselves.
    """

    def __init__(self, weights: Sequence[Tensor], decay: float | None) -> None:
        self.weights = list(weights)
        self.decay = decay
        self.values = [] if decay is None else [w.detach().clone() for w in weights]
        self.steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        if self.decay is None:
            return
        self.steps += 1
        # Early on an average of all so far, or the first weights would stay for long (timm's rule).
        decay = min(self.decay, self.steps / (10.0 + self.steps))
        torch._foreach_lerp_(self.values, self.weights, 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the module have the average inside."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for weight, value in zip(self.weights if self.values else [], self.values, strict=True):
            kept = weight.clone()
            weight.copy_(value)
            value.copy_(kept)
