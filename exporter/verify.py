"""Step 8, verify: the file as saved, in a fresh process, against eager Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from torch import Tensor

from runtime_check.compare import Comparison, Tolerance, compare
from runtime_check.device import DeviceUnavailable, UnknownRuntime, find_installed, run_on_device
from runtime_check.errors import RuntimeCheckError
from runtime_check.runtimes.host import open_host

from .errors import UsageError, VerifyError
from .image.samples import Sample


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What the reloaded file gave, and how it compares."""

    outputs: tuple[tuple[np.ndarray, ...], ...]  # per sample, per output
    comparison: Comparison
    milliseconds: float  # median of the repeats on the first sample, one thread
    load_milliseconds: float
    peak_bytes: int


def stack(outputs: Sequence[Sequence[Tensor | np.ndarray]]) -> list[np.ndarray]:
    """Stack per-sample outputs so that one comparison ranks every sample as a row.

    Outputs of equal shape are stacked; others (several sizes, several batch sizes) are kept
    apart, one array each.
    """
    rows = [[np.asarray(value) for value in sample] for sample in outputs]
    if rows and all([r.shape for r in row] == [r.shape for r in rows[0]] for row in rows):
        return [np.stack(column) for column in zip(*rows, strict=True)]
    return [array for row in rows for array in row]


def verify(
    path: Path,
    samples: Sequence[Sample],
    expected: Sequence[Sequence[Tensor]],
    tolerance: Tolerance,
    *,
    repeats: int = 5,
) -> Verified:
    """Load `path` in a fresh process with the phone's engine and compare every sample.

    Raises `VerifyError` when it does not load, fails on an input, or differs.
    """
    outputs = []
    try:
        with open_host(path, threads=1) as session:
            milliseconds, peak = 0.0, session.load_peak_bytes
            for index, sample in enumerate(samples):
                count = repeats + 1 if index == 0 else 1
                result = session.forward([t.numpy() for t in sample.inputs], repeats=count)
                outputs.append(tuple(result.outputs))
                if index == 0:
                    milliseconds = 1e3 * median(result.seconds[1:])
                peak = max(peak, result.peak_bytes)
            load = session.load_seconds
    except RuntimeCheckError as error:
        raise VerifyError(
            f"The saved file fails where eager Python works, so it was not kept: {error}"
        ) from error
    comparison = compare(stack(expected), stack(outputs), tolerance)
    if not comparison:
        raise VerifyError(
            f"The saved file differs from eager Python, so it was not kept: {comparison}"
        )
    return Verified(
        outputs=tuple(outputs),
        comparison=comparison,
        milliseconds=milliseconds,
        load_milliseconds=1e3 * load,
        peak_bytes=peak,
    )


@dataclass(frozen=True, kw_only=True)
class DeviceVerified:
    """What a device runtime gave, and how it compares."""

    runtime: str  # as `runtime_check --runtime` takes it
    version: str  # of torch there
    outputs: tuple[tuple[np.ndarray, ...], ...]  # per sample, per output
    comparison: Comparison


def require_device(runtime: str) -> None:
    """Raise `UsageError` when the device runtime is not installed: it names what to run."""
    try:
        find_installed(runtime)
    except (DeviceUnavailable, UnknownRuntime) as error:
        raise UsageError(str(error)) from error


def verify_on_device(
    path: Path,
    samples: Sequence[Sample],
    expected: Sequence[Sequence[Tensor]],
    tolerance: Tolerance,
    runtime: str,
) -> DeviceVerified:
    """Run `path` on a device runtime such as `arm64-2.1.0` and compare every sample.

    Raises `UsageError` when the runtime is not there, `VerifyError` when the file does not load
    on it, fails on an input, or differs.
    """
    inputs = [[t.numpy() for t in sample.inputs] for sample in samples]
    try:
        ran = run_on_device(path, inputs, runtime=runtime, extras=())
    except DeviceUnavailable as error:
        raise UsageError(str(error)) from error
    except RuntimeCheckError as error:
        raise VerifyError(f"On {runtime} the file fails, so it was not kept: {error}") from error
    comparison = compare(stack(expected), stack(ran.outputs), tolerance)
    if not comparison:
        raise VerifyError(
            f"On {runtime} the file differs from Python, so it was not kept: {comparison}"
        )
    return DeviceVerified(
        runtime=runtime,
        version=ran.runtime,
        outputs=tuple(tuple(arrays) for arrays in ran.outputs),
        comparison=comparison,
    )
