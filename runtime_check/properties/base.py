"""What the properties share: the check they look at, and what they say about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from ..artifact.archive import ArtifactFile
from ..artifact.metadata import Metadata
from ..comparison import Comparison, Tolerance
from ..reference.reference import Reference
from ..runtime import Runtime
from ..runtimes.run import ForwardError

Status = Literal["passed", "failed", "noted", "skipped"]


Outputs = list[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Check:
    """Everything that a property looks at."""

    artifact: ArtifactFile
    runtime: Runtime
    reference: Reference | None
    no_reference: str = ""  # why there is none
    examples: int = 20
    seed: int = 0
    max_pixels: int = 400_000
    folder: Path = Path("counterexamples")

    @property
    def metadata(self) -> Metadata:
        """The artifact's metadata."""
        return self.artifact.metadata

    @property
    def tolerance(self) -> Tolerance:
        """The tolerance that the artifact states for itself."""
        return Tolerance.of(self.metadata)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What an examiner says about one input: false with a `problem` in words."""

    problem: str = ""
    comparison: Comparison | None = None
    expected: tuple[np.ndarray, ...] = ()
    actual: tuple[np.ndarray, ...] = ()
    remark: str = ""  # noticed, but not wrong

    def __bool__(self) -> bool:
        return not self.problem


@dataclass(frozen=True, kw_only=True)
class PropertyResult:
    """What one property found. Only `failed` is a parity failure; `noted` is worth knowing."""

    name: str
    status: Status
    reason: str
    examples: int = 0
    seconds: float = 0.0
    comparison: Comparison | None = field(default=None, repr=False)  # worst, or the failing one
    minimal: str = ""  # the shrunk input, as a recipe
    counterexample: Path | None = None

    def __bool__(self) -> bool:
        return self.status != "failed"


Examiner = Callable[[Check, Sequence[np.ndarray], bool], Verdict]


def worse(one: Comparison | None, other: Comparison | None) -> Comparison | None:
    """Return the comparison with the larger difference; either may be missing."""
    if one is None or other is None:
        return one or other
    return other if (other.max_abs or 0.0) > (one.max_abs or 0.0) else one


def within(worst: Comparison | None) -> str:
    """Say how a property that held did so."""
    return str(worst) if worst is not None else "held for every input"


def skipped(name: str, reason: str) -> PropertyResult:
    """Say why a property does not apply to the file."""
    return PropertyResult(name=name, status="skipped", reason=reason)


def failed(
    name: str, reason: str, started: float, comparison: Comparison | None = None
) -> PropertyResult:
    """Say what is wrong; `started` is `time.perf_counter()` at the property's beginning."""
    return PropertyResult(
        name=name,
        status="failed",
        reason=reason,
        seconds=time.perf_counter() - started,
        comparison=comparison,
    )


def judge(check: Check, examine: Examiner, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Examine one input; a forward that raises is a verdict too."""
    try:
        return examine(check, inputs, natural)
    except ForwardError as error:
        return Verdict(problem=str(error))
