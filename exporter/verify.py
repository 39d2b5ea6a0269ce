"""Verify: the file as saved, on a runtime, against eager Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from torch import Tensor

from runtime_check.compare import Comparison, Tolerance, compare
from runtime_check.device import DeviceUnavailable, UnknownRuntime, find_installed
from runtime_check.errors import RuntimeCheckError
from runtime_check.runtime import open_runtime

from .errors import UsageError, VerifyError
from .evaluation import Evaluation
from .image.samples import Sample
from .outputs import stack

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
    comparison: Comparison
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
