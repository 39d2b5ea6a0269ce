"""Compare probabilities as what they were before the activation, which may hide differences there.

A softmax or sigmoid that is saturated gives 0 and 1 whatever the network computes, up to
differences far below any tolerance on probabilities. Their logarithms still tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..comparison import Comparison, Tolerance, compare

# Below this, float32 denormals and flushing to zero begin to hide a probability.
FAINT = 1e-30
# Above this, 1 - p has lost half of its digits in float32 (of a sigmoid).
NEAR_ONE = 0.999
# What exp and its inverse add in float32, in units of the logits.
ROUNDING = 1e-3


@dataclass(frozen=True, kw_only=True)
class Logits:
    """A comparison before the activation; not `telling` where everything is 0 or 1."""

    comparison: Comparison
    telling: bool


def compare_logits(
    kind: Literal["softmax", "sigmoid"], expected: np.ndarray, actual: np.ndarray, atol: float
) -> Logits:
    """Compare two arrays of probabilities of equal shape in the logarithm.

    Only where the expected one can be seen. `atol` is what the network's own outputs may differ
    by; for a softmax, whose logarithm is a difference of two of them, twice that counts.
    """
    one, other = (array.astype(np.float64) for array in (expected, actual))
    seen = (one > FAINT) & np.isfinite(other)
    if kind == "sigmoid":
        seen &= one < NEAR_ONE
    least = 2 if kind == "softmax" else 1
    if int(seen.sum()) < least:
        # Nothing to compare but the probabilities themselves, which was done.
        nothing = compare(np.zeros(1), np.zeros(1), Tolerance())
        return Logits(comparison=nothing, telling=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right = np.log(one[seen]), np.log(np.maximum(other[seen], np.finfo(np.float64).tiny))
        if kind == "sigmoid":
            left = left - np.log1p(-one[seen])
            right = right - np.log1p(-np.minimum(other[seen], 1 - 2**-53))
    return Logits(
        comparison=compare(left, right, Tolerance(atol=2 * atol + ROUNDING)), telling=True
    )
