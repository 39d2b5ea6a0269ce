"""Damage an artifact in thousands of seeded ways, and see that every copy gets a verdict.

A file is data from elsewhere. Python only ever reads it as inert bytes; torch's or ExecuTorch's C++
loader runs in a child process with a time and a memory limit, one long-lived child for many copies,
started again when a copy kills it. What kills it is a finding about that loader, not an error of
the check.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from ..artifact.archive import ArtifactFile, read_artifact
from ..comparison import Tolerance, compare
from ..errors import RuntimeCheckError
from ..files import write_whole
from ..metrics import metric_of
from ..options import require_limits
from ..runtime import read_copy, shown_as
from ..runtimes.host import HostSession, start_host
from ..runtimes.run import ChildDied
from ..scratch import temporary_folder
from ..vectors import compare_golden
from .mutate import Mutation, kinds_for, mutate, plan_mutations

# `refused`: an error with a sentence. `same`: outputs as before, the damage was in padding or in
# something unused. `detected`: it loads and computes something else, which the golden vectors
# show. `undetected`: other outputs than the undamaged file, yet the golden vectors pass.
# `crashed`, `hung`: the native loader did, in the child. `error`: the check itself failed.
Outcome = Literal["refused", "same", "detected", "undetected", "crashed", "hung", "error"]


_BAD: tuple[Outcome, ...] = ("undetected", "error")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A copy that deserves a look, and the sentence a user would read."""

    mutation: Mutation
    outcome: Outcome
    message: str


@dataclass(frozen=True, kw_only=True)
class FuzzResult:
    """What became of all copies; true when none was taken for good wrongly, and none broke us."""

    file: str
    mutations: int
    seed: int
    seconds: float
    outcomes: dict[str, dict[str, int]]  # mutation kind -> outcome -> count
    restarts: int  # of the process with the native loader
    findings: tuple[Finding, ...]
    samples: tuple[Finding, ...] = field(repr=False)  # one refusal of each wording

    def __bool__(self) -> bool:
        return not any(finding.outcome in _BAD for finding in self.findings)


@dataclass
class _Loader:
    """A child that loads one copy after another, started again when a copy kills it."""

    timeout: float
    memory: int
    stack: ExitStack
    session: HostSession | None = None
    restarts: int = -1

    def get(self) -> HostSession:
        if self.session is None:
            self.restarts += 1
            self.session = self.stack.enter_context(start_host(timeout=self.timeout))
        return self.session

    def lost(self) -> None:
        self.session = None


def _judge(
    path: Path, clean: ArtifactFile, baseline: list[list[np.ndarray]], loader: _Loader
) -> tuple[Outcome, str]:
    """Give one copy its verdict, and the sentence that goes with it."""
    try:
        damaged = read_artifact(path)
    except RuntimeCheckError as error:
        return "refused", str(error)
    try:
        session = loader.get()
        session.load(path=path, engine="qnnpack", threads=1, memory=loader.memory)
        outputs = [
            session.forward([i.array() for i in case.inputs]).outputs for case in clean.golden.cases
        ]
        metric = metric_of(clean.metadata)
        replayed = [
            session.forward([i.array() for i in case.inputs]).outputs
            for case in damaged.golden.cases
        ]
    except ChildDied as error:
        loader.lost()
        return ("hung" if error.cause == "hung" else "crashed"), str(error)
    except RuntimeCheckError as error:
        return "refused", str(error)
    tolerance = Tolerance.of(clean.golden)
    same = all(compare(b, o, tolerance) for b, o in zip(baseline, outputs, strict=True))
    stated = Tolerance.of(damaged.golden)
    try:
        passes = all(
            compare_golden(case.expected, outputs, stated, metric)
            for case, outputs in zip(damaged.golden.cases, replayed, strict=True)
        )
    except RuntimeCheckError as error:  # what it expects cannot be read
        return "refused", str(error)
    if not passes:
        return "detected", "it loads, but its golden vectors do not replay: the file is damaged"
    if same:
        return "same", ""
    return "undetected", (
        "it computes other outputs than the undamaged file, and its golden vectors pass all the "
        "same: only a checksum of the whole file can tell"
    )


def fuzz_file(
    path: Path | str,
    *,
    mutations: int = 1000,
    seed: int = 0,
    timeout: float = 20.0,
    memory: int = 2 * 2**30,
    keep: Path | None = None,
    verify_key: str | Path | None = None,
    progress: Console | None = None,
) -> FuzzResult:
    """Judge `mutations` damaged copies of a good artifact.

    `timeout` in seconds and `memory` in bytes bound one load or run of one copy; `keep` is a
    folder for copies that crashed or hung the loader. Raises `RuntimeCheckError` when the file
    is not good to begin with, or not signed by `verify_key`.
    """
    require_limits(timeout, memory)
    path = Path(path)
    started = time.perf_counter()
    findings: list[Finding] = []
    samples: dict[str, Finding] = {}
    with ExitStack() as stack, temporary_folder() as scratch:
        clean, whole = stack.enter_context(read_copy(path, verify_key=verify_key))
        stack.enter_context(shown_as(str(whole.path), str(path)))
        data = whole.path.read_bytes()
        kinds = kinds_for(data)
        outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
        loader = _Loader(timeout, memory, stack)
        session = loader.get()
        session.load(path=whole.path, engine="qnnpack", threads=1, memory=memory)
        baseline = [
            session.forward([i.array() for i in case.inputs]).outputs for case in clean.golden.cases
        ]
        copy = scratch / path.name
        for mutation in _with_progress(plan_mutations(kinds, mutations, seed), progress):
            damaged = mutate(data, mutation)
            copy.write_bytes(damaged)
            finding = _examine(copy, mutation, clean, baseline, loader)
            if damaged == data:
                finding = replace(finding, outcome="same")
            outcomes[mutation.kind][finding.outcome] += 1
            if finding.outcome in ("crashed", "hung", *_BAD):
                findings.append(finding)
                _keep(keep, mutation, path.suffix, damaged)
            elif finding.outcome == "refused":
                samples.setdefault(_wording(finding.message), finding)
        restarts = loader.restarts
    return FuzzResult(
        file=path.name,
        mutations=mutations,
        seed=seed,
        seconds=time.perf_counter() - started,
        outcomes={kind: dict(counts) for kind, counts in outcomes.items()},
        restarts=restarts,
        findings=tuple(findings),
        samples=tuple(samples.values()),
    )


def _examine(
    copy: Path,
    mutation: Mutation,
    clean: ArtifactFile,
    baseline: list[list[np.ndarray]],
    loader: _Loader,
) -> Finding:
    """Judge one copy; an exception that escapes is the very thing looked for."""
    outcome: Outcome
    try:
        outcome, message = _judge(copy, clean, baseline, loader)
    except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
        outcome, message = "error", f"{type(error).__name__}: {error}"
        loader.lost()
    return Finding(
        mutation=mutation, outcome=outcome, message=message.replace(str(copy), copy.name)
    )


def _keep(folder: Path | None, mutation: Mutation, suffix: str, damaged: bytes) -> None:
    if folder is not None:
        name = f"{mutation.kind.replace(' ', '-')}-{mutation.seed}{suffix}"
        write_whole(folder / name, damaged)


def _wording(message: str) -> str:
    """Reduce a message to its wording, so that one of each kind is kept."""
    words = [w for w in message.split() if not any(c.isdigit() for c in w)]
    return " ".join(words[:8])


def _with_progress(work: list[Mutation], console: Console | None) -> Iterator[Mutation]:
    if console is None or not console.is_terminal:
        yield from work
        return
    from rich.progress import track

    yield from track(work, "damaged copies", console=console, transient=True)
