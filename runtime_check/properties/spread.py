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
    atols: list[float] = field(default_factory=list)
    inputs: int = 0
    reshaped: bool = False  # a shape that depends on the input is dependence enough

    def add(self, outputs: Sequence[np.ndarray], *atols: float) -> None:
        """Take in one input's outputs; differences up to each one's smallest `atols` are rounding.

        One of them is for all outputs.
        """
        arrays = [np.asarray(array).astype(np.float64) for array in outputs]
        self.inputs += 1
        each = [*atols] if len(atols) == len(arrays) else [atols[0]] * len(arrays)
        if len(self.atols) == len(each):
            each = [min(pair) for pair in zip(self.atols, each, strict=True)]
        self.atols = each
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
                not bool((high - low > atol).any())
                for low, high, atol in zip(self.lowest, self.highest, self.atols, strict=True)
            ]
