"""The ledger: every stage of an export against eager fp32."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runtime_check.artifact.metadata import SAVED_STAGE, LedgerRow
from runtime_check.comparison import Comparison, Tolerance, compare
from runtime_check.metrics import Agreement
from runtime_check.runtime import HOST

from ..expected import Expected
from ..image.samples import Sample
from ..outputs import run, stack
from ..package.archive import LiteFile
from ..package.program import ProgramFile
from ..plan import Plan
from ..verify import REPEATS, Verified

# Seconds above which one run is enough to time.
_LONG = 3.0


class Ledger:
    """Record each stage's figures on the plan's samples; what was not measured stays blank.

    `expected` is what the float32 model gives for each sample, and what every stage is compared
    with. Where the plan has labeled images, every stage that runs here is judged on them too.
    """

    def __init__(self, plan: Plan, expected: Expected) -> None:
        self.eager = expected.outputs
        self._metric = expected.metric
        self.rows: list[LedgerRow] = []
        self._plan = plan

    def note(
        self,
        stage: str,
        whole: nn.Module,
        weights: nn.Module | None = None,
        outputs: Sequence[Sequence[Tensor]] | None = None,
    ) -> None:
        """Run `whole`, which takes what the file takes, and add the row called `stage`.

        `weights` is what its size is counted from. `outputs` are its outputs on the samples,
        where they are known already.
        """
        samples = self._plan.samples
        if outputs is None:
            outputs = [run(whole, sample.inputs) for sample in samples]
        self.rows.append(
            LedgerRow(
                stage=stage,
                inputs=len(samples),
                accuracy=self._accuracy(whole),
                ms=_milliseconds(whole, samples[0]),
                mb=_megabytes(weights),
                **self._figures(outputs),
            )
        )

    def note_file(self, verified: Verified | None, file: LiteFile | ProgramFile) -> None:
        """Add the row of the saved file, where it was run in a process of its own."""
        if verified is None:
            return
        on_host = verified.runtime == HOST
        engine = "QNNPACK engine" if isinstance(file, LiteFile) else verified.description
        self.rows.append(
            LedgerRow(
                stage=SAVED_STAGE if on_host else f"on {verified.runtime}",
                inputs=len(self.eager),
                accuracy=verified.accuracy,
                ms=verified.milliseconds,
                mb=file.bytes / 1e6,
                note=f"fresh process, {engine}" if on_host else verified.description,
                **self._figures(verified.outputs),
            )
        )

    def _accuracy(self, whole: nn.Module) -> float | None:
        if self._plan.evaluation is None:
            return None
        return self._plan.evaluation.accuracy(lambda inputs: run(whole, inputs))

    def _figures(self, outputs: Sequence[Sequence[Tensor | np.ndarray]]) -> dict[str, Any]:
        if outputs is self.eager:
            return {}
        varying = self._metric.kind == "boxes"
        one, other = stack(self.eager, varying=varying), stack(outputs, varying=varying)
        comparison: Comparison = compare(one, other, Tolerance(), self._metric)
        sqnr = comparison.sqnr_db
        return {
            "max_abs": comparison.max_abs,
            # Bit-identical outputs have no noise; JSON has no infinity.
            "sqnr_db": sqnr if sqnr is not None and np.isfinite(sqnr) else None,
            **{field.name: getattr(comparison, field.name) for field in fields(Agreement)},
        }


def _milliseconds(module: nn.Module, sample: Sample) -> float:
    """Median wall milliseconds of one inference, after one warm-up; the caller sets the threads."""
    with torch.no_grad():
        started = time.perf_counter()
        module(*sample.inputs)
        warm = time.perf_counter() - started
        if warm > _LONG:
            return 1e3 * warm  # start-up costs do not show in a run this long
        times = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            module(*sample.inputs)
            times.append(time.perf_counter() - started)
    return 1e3 * median(times)


def _megabytes(module: nn.Module | None) -> float | None:
    if module is None:
        return None
    tensors = [*module.parameters(), *module.buffers()]
    return sum(t.numel() * t.element_size() for t in tensors) / 1e6
