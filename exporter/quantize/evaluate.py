"""Measure what int8 cost: SQNR, agreement and accuracy, and what it gained: milliseconds, bytes."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runtime_check.differences import sqnr_db
from runtime_check.metrics import CLASSES, Kind, Metric, agreement_of, measure
from runtime_check.outputs import flatten
from runtime_check.runtimes.lite import load_lite, quantized_engine, write_lite
from runtime_check.scratch import temporary_folder

from ..errors import QuantizeError
from ..options import Budget
from ..outputs import Flat
from ..package.archive import canonicalize
from ..rewrites.watch import Example, arguments

Runner = Callable[..., Any]
# A network's outputs, as a flat list, for each of several batches.
Outputs = Sequence[Sequence[Tensor]]

# What the agreement of each kind of metric is called.
AGREEMENT: Mapping[Kind, str] = {
    "classes": "top-1 agreement",
    "pixels": "pixel agreement",
    "vectors": "smallest cosine",
    "boxes": "box agreement",
    "none": "mean error",
}


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How outputs compare with float32's: shares from 0 to 1, SQNR in dB, `images` measured.

    `agreement` is the metric's: of classes, of pixels (whose mean IoU is `miou`), of boxes, or the
    smallest cosine of embeddings; values have none. `mean_abs` is their mean absolute error, in
    the output's own unit. `accuracy` and `float_accuracy` are None without labels.
    """

    images: int
    sqnr_db: float | None
    agreement: float | None
    accuracy: float | None = None
    float_accuracy: float | None = None
    miou: float | None = None
    mean_abs: float | None = None

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
    if budget.min_sqnr_db is not None and not _reaches(accuracy, budget.min_sqnr_db):
        return False
    return budget.min_agreement is None or (
        accuracy.agreement is not None and accuracy.agreement >= budget.min_agreement - 1e-9
    )


def _reaches(accuracy: Accuracy, least: float) -> bool:
    return accuracy.sqnr_db is not None and accuracy.sqnr_db >= least - 1e-9


def device_of(module: Runner) -> torch.device:
    """Return where a module's weights are; the CPU for what has none."""
    weights = module.parameters() if isinstance(module, nn.Module) else iter(())
    first = next(iter(weights), None)
    return torch.device("cpu") if first is None else first.device


def on_device(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Return the tensors there; those that are there already are not copied."""
    return [tensor.to(device, non_blocking=True) for tensor in tensors]


def run_batches(module: Runner, batches: Iterable[Example]) -> list[list[Tensor]]:
    """Run `module` where it is over `batches`, without gradients; flat outputs of each, on the CPU.

    Batches may be made one by one.
    """
    device = device_of(module)
    with torch.no_grad():
        return [
            [tensor.cpu() for tensor in flatten(module(*on_device(arguments(batch), device)))]
            for batch in batches
        ]


def judge(
    reference: Outputs, actual: Outputs, labels: Tensor | None = None, metric: Metric = CLASSES
) -> Accuracy:
    """Compare outputs with the float model's by `metric`, and both with `labels`.

    Those are classes of the first len(labels) rows. SQNR is of the floats that `measured_floats`
    names, all of them together.
    """
    one, other = arrays(reference), arrays(actual)
    share = float_share = None
    if labels is not None and len(labels):
        float_share, share = (_accuracy(side, labels, metric) for side in (reference, actual))
    figures = measure(metric, one, other)
    return Accuracy(
        images=_images(reference, metric),
        sqnr_db=_sqnr(reference, actual, metric),
        agreement=agreement_of(figures),
        accuracy=share,
        float_accuracy=float_share,
        miou=figures.miou,
        mean_abs=_mean_abs(reference, actual) if metric.kind == "none" else None,
    )


def _mean_abs(reference: Outputs, actual: Outputs) -> float | None:
    """Return the mean absolute error of the only output; None where several may differ in unit."""
    pairs = list(_pairs(reference, actual))
    if any(len(batch) != 1 for batch in reference) or any(a.shape != b.shape for a, b in pairs):
        return None
    count = sum(a.numel() for a, _ in pairs)
    return sum(float((a.double() - b.double()).abs().sum()) for a, b in pairs) / max(1, count)


def arrays(outputs: Outputs) -> list[np.ndarray]:
    """Return the outputs of all batches in a row, as `measure` takes them."""
    return [tensor.numpy() for batch in outputs for tensor in batch]


def _accuracy(outputs: Outputs, labels: Tensor, metric: Metric) -> float:
    rows = torch.cat([batch[metric.output] for batch in outputs])[: len(labels)]
    return float((rows.argmax(1) == labels).double().mean())


def _images(outputs: Outputs, metric: Metric) -> int:
    """Count images: the first axis of every output is the batch, but of one photo's boxes."""
    single = metric.kind == "boxes" and all(batch[metric.output].dim() == 2 for batch in outputs)
    return len(outputs) if single else sum(len(batch[metric.output]) for batch in outputs)


def measured_floats(outputs: Sequence[Tensor], metric: Metric) -> tuple[int, ...]:
    """Return which of a network's outputs tell how much noise there is in it.

    The metric's own, where it holds floats; a map of classes does not say how near it was to
    another, so then, and where there is no metric, all outputs that do.
    """
    if metric.kind != "none" and outputs[metric.output].is_floating_point():
        return (metric.output,)
    return tuple(index for index, tensor in enumerate(outputs) if tensor.is_floating_point())


def noise(reference: Outputs, actual: Outputs, metric: Metric) -> float:
    """Return the power of the difference in the outputs that `measured_floats` names.

    Of several, each counts by its share of that output's own power, so that none drowns the
    others. Without floats it is the number of values that differ; infinite where shapes do, as
    those of boxes may.
    """
    if any(a.shape != b.shape for a, b in _pairs(reference, actual)):
        return math.inf
    kept = measured_floats(reference[0], metric)
    if not kept:
        return float(sum((a != b).sum() for a, b in _pairs(reference, actual)))
    powers = []
    for index in kept:
        wanted = torch.cat([batch[index].reshape(-1) for batch in reference])
        apart = torch.cat([batch[index].reshape(-1) for batch in actual]) - wanted
        share = 1.0 if len(kept) == 1 else float(wanted.double().square().sum()) or 1.0
        powers.append(float(apart.double().square().sum()) / share)
    return sum(powers)


def _pairs(reference: Outputs, actual: Outputs) -> Iterator[tuple[Tensor, Tensor]]:
    for one, other in zip(reference, actual, strict=True):
        yield from zip(one, other, strict=True)


def _sqnr(reference: Outputs, actual: Outputs, metric: Metric) -> float | None:
    """Return the SQNR in dB; None without floats, and for boxes that are not as many."""
    kept = measured_floats(reference[0], metric) if reference else ()
    one, other = ([batch[i] for batch in side for i in kept] for side in (reference, actual))
    if not one or any(a.shape != b.shape for a, b in zip(one, other, strict=True)):
        return None
    return sqnr_db(*(torch.cat([t.reshape(-1) for t in side]).numpy() for side in (one, other)))


def save_for_timing(module: nn.Module, example: Example, path: Path) -> None:
    """Trace, optimize and save `module` for the lite interpreter: for measuring, not shipping.

    The exporter's own capture and optimize steps guard what is shipped; here the module has its
    BatchNorm folded already, so the plain recipe is right.
    """
    from torch.utils.mobile_optimizer import optimize_for_mobile

    given = arguments(example)
    with warnings.catch_warnings(), torch.no_grad(), quantized_engine():
        warnings.simplefilter("ignore")
        flat = module if isinstance(module(*given), Tensor) else Flat(module)
        traced = torch.jit.trace(flat, given, check_trace=False)
        write_lite(optimize_for_mobile(traced), path)


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Median milliseconds of one image in one thread; bytes of the file without metadata."""

    milliseconds: float
    bytes: int


def measure_speed(
    modules: Mapping[str, nn.Module], example: Example, *, rounds: int = 30, warm_up: int = 3
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
                        runner(*arguments(example))
                        if turn >= warm_up:
                            times[name].append(time.perf_counter() - start)
        finally:
            torch.set_num_threads(threads)
    return {
        name: Speed(milliseconds=1e3 * median(seconds), bytes=sizes[name])
        for name, seconds in times.items()
    }
