"""Verify: the file as saved, on a runtime, against eager Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from runtime_check.compare import Comparison, Tolerance, compare
from runtime_check.device import DeviceUnavailable, UnknownRuntime, find_installed, run_on_device
from runtime_check.errors import RuntimeCheckError
from runtime_check.runtimes.host import open_host

from .errors import UsageError, VerifyError
from .evaluation import Evaluation
from .expected import Expected, as_tolerance
from .image.samples import Sample
from .outputs import stack
from .package.archive import LiteFile
from .plan import Plan

HOST = "host"
# Runs of the first sample that are timed, after one that is not.
REPEATS = 3


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What a runtime made of the file, and how that compares with Python.

    `outputs` are per sample, per output. `milliseconds` is the median of the repeats on the first
    sample, one thread; None for a runtime that is emulated, whose times are not a phone's.
    """

    runtime: str  # as `--run-on` takes it; `host` is the installed torch in a fresh process
    version: str
    outputs: tuple[tuple[np.ndarray, ...], ...]
    comparison: Comparison | None
    milliseconds: float | None
    load_milliseconds: float | None
    peak_bytes: int | None
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
) -> Verified:
    """Load `path` in a fresh process of `runtime` and compare every sample.

    Raises `VerifyError` when it does not load, fails on an input, or differs, and `UsageError`
    where the runtime is not there.
    """
    where = "The saved file" if runtime == HOST else f"On {runtime} the file"
    try:
        if runtime == HOST:
            ran = _on_host(path, samples, evaluation)
        else:
            ran = _on_device(path, samples, runtime)
    except DeviceUnavailable as error:
        raise UsageError(str(error)) from error
    except RuntimeCheckError as error:
        raise VerifyError(
            f"{where} fails where eager Python works, so it was not kept: {error}"
        ) from error
    comparison = compare(stack(expected), stack(ran.outputs), tolerance)
    if not comparison:
        raise VerifyError(f"{where} differs from eager Python, so it was not kept: {comparison}")
    return replace(ran, comparison=comparison)


def _on_host(path: Path, samples: Sequence[Sample], evaluation: Evaluation | None) -> Verified:
    outputs: list[tuple[np.ndarray, ...]] = []
    milliseconds = 0.0
    with open_host(path, threads=1) as session:
        peak = session.load_peak_bytes
        for index, sample in enumerate(samples):
            result = session.forward(
                [t.numpy() for t in sample.inputs], repeats=REPEATS + 1 if index == 0 else 1
            )
            outputs.append(tuple(result.outputs))
            if index == 0:
                milliseconds = 1e3 * median(result.seconds[1:])
            peak = max(peak, result.peak_bytes)
        accuracy = None
        if evaluation is not None:
            accuracy = evaluation.accuracy(
                lambda inputs: torch.from_numpy(
                    session.forward([t.numpy() for t in inputs]).outputs[0]
                )
            )
        return Verified(
            runtime=HOST,
            version=session.version,
            outputs=tuple(outputs),
            comparison=None,
            milliseconds=milliseconds,
            load_milliseconds=1e3 * session.load_seconds,
            peak_bytes=peak,
            accuracy=accuracy,
        )


def _on_device(path: Path, samples: Sequence[Sample], runtime: str) -> Verified:
    inputs = [[t.numpy() for t in sample.inputs] for sample in samples]
    ran = run_on_device(path, inputs, runtime=runtime, extras=())
    return Verified(
        runtime=runtime,
        version=ran.runtime,
        outputs=tuple(tuple(arrays) for arrays in ran.outputs),
        comparison=None,
        milliseconds=None,
        load_milliseconds=None,
        peak_bytes=None,
        accuracy=None,
    )


def verify_on(runtime: str, file: LiteFile, plan: Plan, expected: Expected) -> Verified:
    """Run the file on a device runtime and compare it, within what another CPU may round."""
    tolerance = as_tolerance(expected.phone)
    return verify(file.path, plan.samples, expected.outputs, tolerance, runtime=runtime)
