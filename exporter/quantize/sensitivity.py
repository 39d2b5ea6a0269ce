"""Find which layers int8 hurts, and the fewest to keep in float for a budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from runtime_check.metrics import CLASSES, Metric, mean_overlap

from ..errors import BudgetNotMet
from ..options import Budget
from ..progress import Listener, silent
from ..rewrites.watch import Example
from .evaluate import Accuracy, Outputs, arrays, judge, meets, run_batches
from .place import Simulated


@dataclass(frozen=True, kw_only=True)
class LayerSensitivity:
    """One layer's part in the noise, in dB: as SQNR, or as the boxes that still overlap.

    `alone_db`: only this layer is int8 (low means harmful). `without_db`: all but this one are
    (far above `all_db` means that this layer was the trouble); None when not measured.
    """

    name: str
    alone_db: float
    without_db: float | None
    all_db: float


@dataclass(frozen=True, kw_only=True)
class FloatSet:
    """The layers to keep in float, what they bring, and the steps that led there."""

    float_layers: tuple[str, ...]
    accuracy: Accuracy
    tried: tuple[tuple[int, Accuracy], ...]


def _db(reference: Outputs, actual: Outputs, metric: Metric) -> float:
    """Return the SQNR in dB; of boxes how much they overlap and of bare maps what agrees, likewise.

    Boxes come in another number and order when the network changes, so they have no SQNR: one
    layer's would stand beside another's share.
    """
    if metric.kind == "boxes":
        share = mean_overlap(metric, arrays(reference), arrays(actual))
    else:
        found = judge(reference, actual, metric=metric)
        if found.sqnr_db is not None:
            return found.sqnr_db
        share = found.agreement
    if share is None or share >= 1.0:
        return math.inf
    return -10.0 * math.log10(1.0 - share)


def measure_sensitivity(
    simulated: Simulated,
    batches: Sequence[Example],
    *,
    metric: Metric = CLASSES,
    leave_one_out: bool = True,
    tell: Listener = silent,
) -> tuple[LayerSensitivity, ...]:
    """Simulate int8 in one layer at a time, and in all but one; most harmful first.

    Costs two passes over `batches` per layer (one without `leave_one_out`); 16 to 32 images
    suffice. Noise is that of the outputs that `metric` is about, of boxes what does not overlap.
    Simulation is used, not int8 kernels, so every layer is judged by the same rule.
    """
    names = list(simulated.layers)
    simulated.simulate(())
    reference = run_batches(simulated.module, batches)
    simulated.simulate(names)
    all_db = _db(reference, run_batches(simulated.module, batches), metric)
    rows = []
    for index, name in enumerate(names):
        simulated.simulate([name])
        alone = _db(reference, run_batches(simulated.module, batches), metric)
        without = None
        if leave_one_out:
            simulated.simulate([other for other in names if other != name])
            without = _db(reference, run_batches(simulated.module, batches), metric)
        rows.append(LayerSensitivity(name=name, alone_db=alone, without_db=without, all_db=all_db))
        tell("sensitivity of the layers", index + 1, len(names))
    simulated.simulate(names)
    return tuple(sorted(rows, key=lambda row: row.alone_db))


def smallest_float_set(
    simulated: Simulated,
    sensitivity: Sequence[LayerSensitivity],
    batches: Sequence[Example],
    budget: Budget,
    *,
    labels: Tensor | None = None,
    metric: Metric = CLASSES,
) -> FloatSet:
    """Keep the fewest layers in float that meet `budget` on `batches`.

    Layers become float in order of harm, as many as a bisection needs; then each is given back
    to int8 where the budget allows. Raises BudgetNotMet when even the float model (that is, all
    layers in float) does not meet it.
    """
    names = list(simulated.layers)
    order = [row.name for row in sensitivity]
    simulated.simulate(())
    reference = run_batches(simulated.module, batches)
    tried: list[tuple[int, Accuracy]] = []

    def accuracy_with(kept: Sequence[str]) -> Accuracy:
        simulated.simulate([name for name in names if name not in set(kept)])
        accuracy = judge(reference, run_batches(simulated.module, batches), labels, metric)
        tried.append((len(kept), accuracy))
        return accuracy

    try:
        best = accuracy_with([])
        if meets(best, budget):
            return FloatSet(float_layers=(), accuracy=best, tried=tuple(tried))
        low, high = 0, len(order)
        best = accuracy_with(order)
        if not meets(best, budget):
            raise BudgetNotMet(f"Even with every layer in float the budget ({budget}) is not met.")
        while high - low > 1:
            middle = (low + high) // 2 if high > 8 else low + 1
            accuracy = accuracy_with(order[:middle])
            if meets(accuracy, budget):
                high, best = middle, accuracy
            else:
                low = middle
        kept = order[:high]
        for name in order[: high - 1][::-1][:8]:
            fewer = [other for other in kept if other != name]
            accuracy = accuracy_with(fewer)
            if meets(accuracy, budget):
                kept, best = fewer, accuracy
        return FloatSet(float_layers=tuple(kept), accuracy=best, tried=tuple(tried))
    finally:
        simulated.simulate(names)
