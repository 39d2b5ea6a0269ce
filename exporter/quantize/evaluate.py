"""Measure what int8 cost: SQNR, agreement and accuracy, and what it gained: milliseconds, bytes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from runtime_check.comparison import sqnr_db
from runtime_check.metrics import topk_agreement
from runtime_check.runtimes.lite import load_lite, quantized_engine, write_lite
from runtime_check.scratch import temporary_folder

from ..errors import QuantizeError
from ..options import Budget
from ..package.archive import canonicalize

Runner = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How outputs compare with float32's: shares from 0 to 1, SQNR in dB, `images` measured.

    `accuracy` and `float_accuracy` are None without labels.
    """

    images: int
    sqnr_db: float | None
    agreement: float | None
    accuracy: float | None = None
    float_accuracy: float | None = None

    @property
    def drop(self) -> float | None:
        """Return float accuracy minus this one, in points (percent)."""
        if self.accuracy is None or self.float_accuracy is None:
            return None
        return 100.0 * (self.float_accuracy - self.accuracy)


def meets(accuracy: Accuracy, budget: Budget) -> bool:
    """Whether `accuracy` is within the budget; raise QuantizeError where that is unknown."""
    if budget.max_accuracy_drop is not None:
        if accuracy.drop is None:
            raise QuantizeError(
                "--max-accuracy-drop needs labeled images. Give them, or use --min-agreement."
            )
        if accuracy.drop > budget.max_accuracy_drop + 1e-9:
            return False
    return budget.min_agreement is None or (
        accuracy.agreement is not None and accuracy.agreement >= budget.min_agreement - 1e-9
    )


def run_batches(module: Runner, batches: Sequence[Tensor]) -> Tensor:
    """Run `module` over `batches` without gradients; concatenate the outputs (N, classes)."""
    with torch.no_grad():
        return torch.cat([module(batch) for batch in batches])


def judge(reference: Tensor, actual: Tensor, labels: Tensor | None = None) -> Accuracy:
    """Compare logits with the float model's, and both with `labels` (first len(labels) rows)."""
    share = float_share = None
    if labels is not None and len(labels):
        count = len(labels)
        share = float((actual[:count].argmax(1) == labels).double().mean())
        float_share = float((reference[:count].argmax(1) == labels).double().mean())
    one, other = reference.numpy(), actual.numpy()
    return Accuracy(
        images=len(reference),
        sqnr_db=sqnr_db(one, other),
        agreement=topk_agreement(one, other, 1),
        accuracy=share,
        float_accuracy=float_share,
    )


def save_for_timing(module: nn.Module, example: Tensor, path: Path) -> None:
    """Trace, optimize and save `module` for the lite interpreter: for measuring, not shipping.

    The exporter's own capture and optimize steps guard what is shipped; here the module has its
    BatchNorm folded already, so the plain recipe is right.
    """
    from torch.utils.mobile_optimizer import optimize_for_mobile

    with warnings.catch_warnings(), torch.no_grad(), quantized_engine():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, example, check_trace=False)
        write_lite(optimize_for_mobile(traced), path)


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Median milliseconds of one image in one thread; bytes of the file without metadata."""

    milliseconds: float
    bytes: int


def measure_speed(
    modules: Mapping[str, nn.Module], example: Tensor, *, rounds: int = 30, warm_up: int = 3
) -> dict[str, Speed]:
    """Time lite files of `modules` in turns, one thread, QNNPACK engine; medians.

    Turns, because a machine that slows down then slows every candidate.
    """
    threads = torch.get_num_threads()
    times: dict[str, list[float]] = {name: [] for name in modules}
    with temporary_folder() as folder, quantized_engine():
        runners: dict[str, Runner] = {}
        sizes = {}
        for index, (name, module) in enumerate(modules.items()):
            scratch = folder / str(index)
            scratch.mkdir()
            save_for_timing(module, example, scratch / "raw.ptl")
            lite = canonicalize(scratch / "raw.ptl", scratch)
            sizes[name] = lite.bytes
            runners[name] = load_lite(lite.path)
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                for turn in range(rounds + warm_up):
                    for name, runner in runners.items():
                        start = time.perf_counter()
                        runner(example)
                        if turn >= warm_up:
                            times[name].append(time.perf_counter() - start)
        finally:
            torch.set_num_threads(threads)
    return {
        name: Speed(milliseconds=1e3 * median(seconds), bytes=sizes[name])
        for name, seconds in times.items()
    }
