"""What the properties share: the check they look at, and what they say about it.

A property passes on evidence alone, and only `Trial.passed` says so: inputs that were really
compared, as many as were to be, in one process that lived through all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from ..artifact.archive import ArtifactFile
from ..artifact.metadata import Metadata
from ..blame import sentence
from ..comparison import Comparison
from ..errors import RuntimeCheckError
from ..metrics import Metric, metric_of
from ..options import DEFAULT_MEMORY, DEFAULT_TIMEOUT, Demands
from ..reference.detectors import detection_of
from ..reference.reference import Reference
from ..runtime import Supervised
from ..runtimes.run import ChildDied, ForwardError, OutOfTime
from .allowance import Allowance

# `failed`: the file is wrong. `undecided`: nothing is proven, one way or the other.
Status = Literal["passed", "noted", "failed", "undecided", "skipped"]
# What is wrong with the file: other outputs, an exception, a dead process, a false statement.
Wrong = Literal["differs", "raised", "crashed", "hung", "memory", "nonsense", "misstated"]
# Why nothing is proven: the Python side raised; fewer inputs were compared than were to be; the
# process was started again midway; the deadline passed; the outputs do not depend on the input, or
# are all 0 and 1; what was demanded cannot be judged; hypothesis was misled; a mistake in this
# package.
Unproven = Literal[
    "reference", "too-few", "restarted", "late", "constant", "saturated", "no-reference",
    "unsteady", "bug"
]  # fmt: skip
Fault = Wrong | Unproven

UNPROVEN: frozenset[str] = frozenset(get_args(Unproven))

Outputs = list[np.ndarray]


class ReferenceRaised(RuntimeCheckError):
    """The Python side raised for an input: there is nothing to compare the file with."""

    exit_code = 3


@contextmanager
def python_side() -> Iterator[None]:
    """Turn whatever the Python model raises inside into `ReferenceRaised`."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise ReferenceRaised(f"the Python model raised {sentence(error)}") from error


@dataclass(frozen=True, kw_only=True)
class Check:
    """Everything that a property looks at."""

    artifact: ArtifactFile
    runtime: Supervised
    reference: Reference | None
    no_reference: str = ""  # why there is none
    allowance: Allowance
    demands: Demands = field(default_factory=Demands)
    file: Path  # a private copy of its bytes, which nobody can replace meanwhile
    sha256: str = ""  # of the file's bytes, before anything in it was used
    examples: int = 20
    seed: int = 0
    max_pixels: int = 400_000
    folder: Path = Path("counterexamples")
    timeout: float = DEFAULT_TIMEOUT  # seconds for one answer
    memory: int = DEFAULT_MEMORY  # bytes beyond what torch maps; 0: no limit

    @property
    def metadata(self) -> Metadata:
        """The artifact's metadata."""
        return self.artifact.metadata

    @property
    def metric(self) -> Metric:
        """What the artifact's task is judged by; a detector's limits are the Python model's."""
        metric = metric_of(self.metadata)
        if self.reference is None:
            return metric
        return replace(metric, detection=detection_of(self.reference.network))

    def run(self, inputs: Sequence[np.ndarray], *, threads: int = 1) -> Outputs:
        """Run the file. Raises `ForwardError` or `ChildDied`."""
        return self.runtime.forward(inputs, threads=threads).outputs

    def raw(self, inputs: Sequence[np.ndarray]) -> list[Tensor]:
        """Run the Python model up to its activation. Raises `ReferenceRaised`."""
        assert self.reference is not None
        with python_side():
            return self.reference.raw(inputs)

    def expect(self, inputs: Sequence[np.ndarray]) -> Outputs:
        """Run the Python model: what the file should return. Raises `ReferenceRaised`."""
        assert self.reference is not None
        return self.reference.finish(self.raw(inputs), inputs)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What an examiner says about one input: false with a `problem` in words and its `fault`.

    `values` is how many values were looked at: a verdict about none is no evidence. `telling` is
    false for an input whose outputs, all 0 and 1, hide what the network computed.
    """

    problem: str = ""
    fault: Fault | Literal[""] = ""
    comparison: Comparison | None = None
    values: int = 0
    telling: bool = True
    expected: tuple[np.ndarray, ...] = ()
    actual: tuple[np.ndarray, ...] = ()
    remark: str = ""  # noticed, but not wrong

    def __bool__(self) -> bool:
        return not self.fault

    def slim(self) -> Verdict:
        """Return it without the outputs, which may be large."""
        return replace(self, expected=(), actual=())


def verdict_of(
    comparison: Comparison,
    expected: Sequence[np.ndarray],
    actual: Sequence[np.ndarray],
    *,
    problem: str = "{}",
    telling: bool = True,
) -> Verdict:
    """Turn a comparison into a verdict; `problem` says in words what differs, `{}` by how much."""
    return Verdict(
        problem="" if comparison else problem.format(comparison),
        fault="" if comparison else "differs",
        comparison=comparison,
        values=comparison.elements,
        telling=telling,
        expected=tuple(expected),
        actual=tuple(actual),
    )


@dataclass(frozen=True, kw_only=True)
class PropertyResult:
    """What one property found; true unless the file failed or nothing was proven.

    `noted` is worth knowing and no failure. `fault` says what went wrong, in one word.
    """

    name: str
    status: Status
    reason: str
    fault: Fault | Literal[""] = ""
    examples: int = 0
    seconds: float = 0.0
    comparison: Comparison | None = field(default=None, repr=False)  # worst, or the failing one
    minimal: str = ""  # the shrunk input, as a recipe
    counterexample: Path | None = None

    def __bool__(self) -> bool:
        return self.status not in ("failed", "undecided")


Examiner = Callable[[Check, Sequence[np.ndarray], bool], Verdict]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One property on its way to a result."""

    check: Check
    name: str
    started: float
    deaths: int  # of the file's process, before the property began

    @staticmethod
    def begin(check: Check, name: str) -> Trial:
        """Start the clock."""
        started = time.perf_counter()
        return Trial(check=check, name=name, started=started, deaths=check.runtime.deaths)

    def passed(
        self,
        *,
        inputs: int,
        needed: int,
        values: int,
        comparison: Comparison | None = None,
        reason: str = "",
        noted: bool = False,
    ) -> PropertyResult:
        """Say that it held, if that is proven; else say why not.

        `inputs` were compared, `values` numbers in all, and `needed` inputs were to be.
        """
        if self.check.runtime.deaths != self.deaths:
            return self.broken("restarted", "its process died on the way and was started again")
        if inputs < max(1, needed) or values < 1:
            return self.broken(
                "too-few",
                f"{inputs} inputs with {values} values were compared, {max(1, needed)} were to be",
                examples=inputs,
            )
        return PropertyResult(
            name=self.name,
            status="noted" if noted else "passed",
            reason=reason or within(comparison),
            examples=inputs,
            seconds=time.perf_counter() - self.started,
            comparison=comparison,
        )

    def broken(
        self,
        fault: Fault,
        reason: str,
        *,
        examples: int = 0,
        comparison: Comparison | None = None,
        minimal: str = "",
        counterexample: Path | None = None,
    ) -> PropertyResult:
        """Say what is wrong with the file, or why nothing is proven."""
        return PropertyResult(
            name=self.name,
            status="undecided" if fault in UNPROVEN else "failed",
            fault=fault,
            reason=reason,
            examples=examples,
            seconds=time.perf_counter() - self.started,
            comparison=comparison,
            minimal=minimal,
            counterexample=counterexample,
        )


def worse(one: Comparison | None, other: Comparison | None) -> Comparison | None:
    """Return the comparison with the larger difference; either may be missing."""
    if one is None or other is None:
        return other if one is None else one
    return other if (other.max_abs or 0.0) > (one.max_abs or 0.0) else one


def within(worst: Comparison | None) -> str:
    """Say how a property that held did so."""
    return str(worst) if worst is not None else "held for every input"


def skipped(name: str, reason: str) -> PropertyResult:
    """Say why a property does not apply to the file."""
    return PropertyResult(name=name, status="skipped", reason=reason)


def judge(check: Check, examine: Examiner, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Examine one input; whatever is raised on the way is a verdict too, and never a good one."""
    try:
        return examine(check, inputs, natural)
    except Exception as error:  # noqa: BLE001  one that escaped would be read as hypothesis's own
        return Verdict(problem=str(error) or type(error).__name__, fault=fault_of(error))


def fault_of(error: Exception) -> Fault:
    """Name what an exception says about the file."""
    if isinstance(error, ForwardError):
        return "raised"
    if isinstance(error, ChildDied):
        return error.cause
    if isinstance(error, OutOfTime):
        return "late"
    if isinstance(error, ReferenceRaised):
        return "reference"
    # A file that loaded once and does not again.
    return "crashed" if isinstance(error, RuntimeCheckError) else "bug"
