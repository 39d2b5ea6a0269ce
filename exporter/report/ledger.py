"""The ledger: every stage against eager fp32."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runtime_check.artifact.metadata import LedgerRow
from runtime_check.compare import Comparison, Tolerance, compare

from ..image.samples import Sample
from ..outputs import run
from ..package.archive import LiteFile
from ..plan import SLOW_SECONDS, Task
from ..verify import DeviceVerified, Verified, stack

REPEATS = 3


def _milliseconds(module: nn.Module, sample: Sample) -> float:
    """Median wall milliseconds of one inference, after one warm-up; the caller sets the threads."""
    with torch.no_grad():
        started = time.perf_counter()
        module(*sample.inputs)
        warm = time.perf_counter() - started
        if warm > SLOW_SECONDS:
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


def row(
    stage: str,
    whole: nn.Module,
    task: Task,
    weights: nn.Module | None,
    reference: Sequence[Sequence[Tensor]] | None = None,
) -> LedgerRow:
    """Run a stage on the samples; compare it with `reference`, eager fp32, where it is given.

    `weights` is what its size is counted from.
    """
    figures: dict[str, Any] = {}
    if reference is not None:
        outputs = [run(whole, s.inputs) for s in task.samples]
        figures = _figures(compare(stack(reference), stack(outputs), Tolerance()))
    return LedgerRow(
        stage=stage,
        inputs=len(task.samples),
        ms=_milliseconds(whole, task.samples[0]),
        mb=_megabytes(weights),
        **figures,
    )


def _figures(comparison: Comparison) -> dict[str, Any]:
    sqnr = comparison.sqnr_db
    return {
        "max_abs": comparison.max_abs,
        # Bit-identical outputs have no noise; infinity is no JSON number.
        "sqnr_db": sqnr if sqnr is not None and np.isfinite(sqnr) else None,
        "top1": comparison.top1,
        "top5": comparison.top5,
    }


def saved_row(
    checked: Verified, lite: LiteFile, reference: Sequence[Sequence[Tensor]]
) -> LedgerRow:
    """The file in a fresh process."""
    return LedgerRow(
        stage="saved + reloaded",
        inputs=len(reference),
        ms=checked.milliseconds,
        mb=lite.bytes / 1e6,
        note="fresh process, QNNPACK engine",
        **_figures(compare(stack(reference), stack(checked.outputs), Tolerance())),
    )


def device_row(
    ran: DeviceVerified, lite: LiteFile, reference: Sequence[Sequence[Tensor]]
) -> LedgerRow:
    """The phone's own runtime; no milliseconds, because those of an emulator are no phone's."""
    return LedgerRow(
        stage=f"on {ran.runtime}",
        inputs=len(reference),
        mb=lite.bytes / 1e6,
        note=ran.version,
        **_figures(compare(stack(reference), stack(ran.outputs), Tolerance())),
    )
