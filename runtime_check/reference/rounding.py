"""By how much two right float32 runs of a model may differ: its own distance from float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .reference import Reference

# How far two correct float32 evaluations may lie apart, in units of one evaluation's distance
# from float64. Kernels that sum in another order (XNNPACK, another CPU, folded batch norms) have
# errors of the same size but not the same sign; the maximum over a few samples underestimates
# the tail. Measured over timm's families in tests/benchmarks/families.md.
SAFETY = 16.0
# Below this share of the largest output, float32 itself has nothing to say.
FLOOR = 1e-6
# Of the largest output, for a model that does not run in float64.
COARSE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """What may differ, as a share of the largest output, before and after the activation."""

    raw: float
    finished: float
    basis: str


def measure_rounding(reference: Reference, inputs: Sequence[Sequence[np.ndarray]]) -> Rounding:
    """Run the model in float32 and float64 on `inputs`, each the arguments of one call.

    Raises what the model raises in float32. Where it does not run in float64, the share is 1e-4.
    """
    single = [reference.raw(given) for given in inputs]
    try:
        with reference.in_float64() as exact:
            double = [exact.raw(given) for given in inputs]
    except Exception as reason:  # noqa: BLE001  authors' code may insist on float32 in any way
        why = f"1e-4 of the largest output: the model does not run in float64 ({reason})"[:300]
        return Rounding(raw=COARSE, finished=COARSE, basis=why)
    pairs = list(zip(single, double, strict=True))
    raw = max(_share([a.numpy() for a in s], [b.numpy() for b in d]) for s, d in pairs)
    finished = max(_share(reference.finish(s), reference.finish(d)) for s, d in pairs)
    return Rounding(
        raw=max(SAFETY * raw, FLOOR),
        finished=max(SAFETY * finished, FLOOR),
        basis=f"{SAFETY:g} x max|float32 - float64| of the Python model over {len(pairs)} inputs: "
        f"{SAFETY * finished:.3g} of the largest output",
    )


def _share(single: Sequence[np.ndarray], double: Sequence[np.ndarray]) -> float:
    """Return the largest distance as a share of the largest output; 0 where nothing is finite."""
    distance = size = 0.0
    for one, other in zip(single, double, strict=True):
        exact = other.astype(np.float64)
        apart = np.abs(one.astype(np.float64) - exact)
        finite = np.isfinite(apart)
        distance = max(distance, float(apart[finite].max(initial=0.0)))
        size = max(size, float(np.abs(exact[finite]).max(initial=0.0)))
    return distance / size if size else 0.0
