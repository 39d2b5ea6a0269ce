"""By how much two right float32 runs of a model may differ: its own distance from float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..found import in_order_of
from ..metrics import Metric, metric_of
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
    """What may differ in each output, as a share of its largest value.

    `raw` is before what the exporter added to it (an activation), `finished` after.
    """

    raw: tuple[float, ...]
    finished: tuple[float, ...]
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
        return Rounding(
            raw=tuple(COARSE for _ in single[0]),
            finished=tuple(COARSE for _ in single[0]),
            basis=why,
        )
    pairs = list(zip(single, double, strict=True))
    ends = [
        (reference.finish(s, given), reference.finish(d, given))
        for (s, d), given in zip(pairs, inputs, strict=True)
    ]
    metric = metric_of(reference.metadata)
    raw = [_shares([a.numpy() for a in s], [b.numpy() for b in d], metric) for s, d in pairs]
    finished = [_shares(one, other, metric) for one, other in ends]
    most = [SAFETY * max(column) for column in zip(*finished, strict=True)]
    told = " / ".join(f"{share:.3g}" for share in most[:8])
    return Rounding(
        raw=tuple(max(SAFETY * max(column), FLOOR) for column in zip(*raw, strict=True)),
        finished=tuple(max(share, FLOOR) for share in most),
        basis=f"{SAFETY:g} x max|float32 - float64| of the Python model over {len(pairs)} inputs: "
        f"{told} of the largest output",
    )


def _shares(
    single: Sequence[np.ndarray], double: Sequence[np.ndarray], metric: Metric
) -> list[float]:
    ordered = in_order_of(metric, single, double, paired=True)
    return [_share(one, other) for one, other in zip(single, ordered, strict=True)]


def _share(single: np.ndarray, double: np.ndarray) -> float:
    """Return the largest distance as a share of the largest value; 0 where nothing is finite."""
    if not np.issubdtype(single.dtype, np.floating):
        return 0.0  # whole numbers have no rounding
    if single.shape != double.shape:
        return COARSE  # what is found (boxes above a threshold) hangs on the last bits
    exact = double.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(single.astype(np.float64) - exact)
    finite = np.isfinite(apart)
    size = float(np.abs(exact[finite]).max(initial=0.0))
    return float(apart[finite].max(initial=0.0)) / size if size else 0.0
