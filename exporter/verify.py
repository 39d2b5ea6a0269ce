"""Verify: the file as saved, on a runtime, against eager Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from runtime_check.comparison import Comparison, Tolerance, compare
from runtime_check.device.errors import DeviceUnavailable, UnknownRuntime
from runtime_check.device.install import find_installed
from runtime_check.errors import RuntimeCheckError
from runtime_check.metrics import CLASSES, Metric
from runtime_check.options import DEFAULT_TIMEOUT
from runtime_check.runtime import HOST, open_runtime

from .errors import UsageError, VerifyError
from .evaluation import Evaluation
from .expected import Expected
from .image.samples import Sample
from .outputs import stack
from .package.archive import LiteFile
from .package.program import ProgramFile
from .plan import Plan

# Runs of the first sample that are timed, after one that is not.
REPEATS = 3
# Seconds for one answer of a runtime that may be emulated, where a core is some 30 times slower.
DEVICE_TIMEOUT = 3600.0


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What a runtime made of the file, and how that compares with Python.

    `outputs` are per sample, per output. `milliseconds` is the median of the repeats on the first
    sample, one thread; None for a runtime that is emulated, whose times are not a phone's.
    """

    runtime: str  # as `--run-on` takes it; `host` is the installed torch in a fresh process
    description: str  # of the runtime: torch's version and the machine
    outputs: tuple[tuple[np.ndarray, ...], ...]
    comparison: Comparison
    milliseconds: float | None
    load_milliseconds: float | None
    peak_bytes: int  # 0 where it is not measured
    accuracy: float | None


def require_runtime(name: str) -> None:
    """Raise `UsageError` when the runtime is not installed: it names what to run."""
    try:
        find_installed(name)
    except (DeviceUnavailable, UnknownRuntime) as error:
        raise UsageError(str(error)) from error


def verify(
    path: Path,
    samples: Sequence[Sample],
    expected: Sequence[Sequence[Tensor]],
    tolerance: Tolerance,
    *,
    runtime: str = HOST,
    evaluation: Evaluation | None = None,
    metric: Metric = CLASSES,
) -> Verified:
    """Load `path` in a fresh process of `runtime` and compare every sample.

    Raises `VerifyError` when it does not load, fails on an input, or differs, and `UsageError`
    where the runtime is not there.
    """
    where = "The saved file" if runtime == HOST else f"On {runtime} the file"
    accuracy = None
    limit = DEFAULT_TIMEOUT if runtime == HOST else DEVICE_TIMEOUT
    try:
        with open_runtime(runtime, path, timeout=limit) as loaded:
            # Emulated, a run takes minutes, and its times are nobody's.
            first = 1 if loaded.costly else REPEATS + 1
            runs = [
                loaded.forward(_arrays(sample.inputs), repeats=first if index == 0 else 1)
                for index, sample in enumerate(samples)
            ]
            if evaluation is not None and not loaded.costly:
                accuracy = evaluation.accuracy(
                    lambda inputs: [*map(torch.from_numpy, loaded.forward(_arrays(inputs)).outputs)]
                )
    except DeviceUnavailable as error:
        raise UsageError(str(error)) from error
    except RuntimeCheckError as error:
        raise VerifyError(
            f"{where} fails where eager Python works, so it was not kept: {error}"
        ) from error
    outputs = [run.outputs for run in runs]
    varying = metric.kind == "boxes"
    one, other = stack(expected, varying=varying), stack(outputs, varying=varying)
    comparison = compare(one, other, tolerance, metric)
    if not comparison:
        raise VerifyError(f"{where} differs from eager Python, so it was not kept: {comparison}")
    return Verified(
        runtime=loaded.name,
        description=loaded.description,
        outputs=tuple(tuple(arrays) for arrays in outputs),
        comparison=comparison,
        milliseconds=None if loaded.costly else 1e3 * median(runs[0].seconds[1:]),
        load_milliseconds=None if loaded.costly else 1e3 * loaded.load_seconds,
        peak_bytes=max([loaded.load_peak_bytes, *(run.peak_bytes for run in runs)]),
        accuracy=accuracy,
    )


def _arrays(tensors: Sequence[Tensor]) -> list[np.ndarray]:
    return [tensor.numpy() for tensor in tensors]


def verify_on(
    runtime: str | None, file: LiteFile | ProgramFile, plan: Plan, expected: Expected
) -> Verified | None:
    """Run the file on a device runtime too, where one is named.

    It is compared within what another CPU may round. Raises as `verify`.
    """
    if runtime is None:
        return None
    tolerance = Tolerance.of(expected.phone)
    return verify(
        file.path,
        plan.samples,
        expected.outputs,
        tolerance,
        runtime=runtime,
        metric=expected.metric,
    )
