"""Whether outputs depend on the input at all: ones that do not prove nothing about a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Spread:
    """The smallest and largest value seen at each place of each output, over all inputs."""

    lowest: list[np.ndarray] = field(default_factory=list)
    highest: list[np.ndarray] = field(default_factory=list)
    atol: float = np.inf
    inputs: int = 0
    reshaped: bool = False  # a shape that depends on the input is dependence enough

    def add(self, outputs: Sequence[np.ndarray], atol: float) -> None:
        """Take in one input's outputs; differences up to the smallest `atol` are rounding."""
        arrays = [np.asarray(array).astype(np.float64) for array in outputs]
        self.inputs += 1
        self.atol = min(self.atol, atol)
        if not self.lowest:
            self.lowest, self.highest = arrays, [array.copy() for array in arrays]
        elif [a.shape for a in arrays] != [a.shape for a in self.lowest]:
            self.reshaped = True
        else:
            self.lowest = [np.fmin(a, b) for a, b in zip(self.lowest, arrays, strict=True)]
            self.highest = [np.fmax(a, b) for a, b in zip(self.highest, arrays, strict=True)]

    def constant(self) -> list[bool]:
        """Say of each output whether it was the same for all inputs; [] for fewer than two."""
        if self.inputs < 2 or self.reshaped:
            return []
        with np.errstate(invalid="ignore"):
            return [
                not bool((high - low > self.atol).any())
                for low, high in zip(self.lowest, self.highest, strict=True)
            ]
