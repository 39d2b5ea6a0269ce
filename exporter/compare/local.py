"""Run trials on this machine: a process each, as many at a time as cores and memory allow."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import UsageError
from . import memory
from .pool import Ended, Task, at_once, run_tasks
from .result import TrialResult, read_count, read_record
from .trial import Job

Say = Callable[[str], None]

# One thread each: sums then come in one order, and processes do not fight for cores.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True, kw_only=True)
class Resources:
    """How much of this machine a run may take; None is what there is."""

    jobs: int | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 1:
            raise UsageError(f"--jobs is a number from 1 on, not {self.jobs}.")

    @property
    def most(self) -> int:
        """Processes at a time: one a core, unless the user says how many."""
        return self.jobs or _cores()

    @property
    def bytes(self) -> int:
        """Memory for all of them."""
        return memory.available() if self.memory is None else self.memory


# Runs jobs and returns their results by key: `run_local`, or the same on a cluster.
Runner = Callable[[Sequence[Job], Resources, Say], Mapping[str, TrialResult]]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # what a container or `taskset` leaves
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_done(job: Job) -> bool:
    """Whether there is nothing left to do: a record, and a count where one is wanted."""
    result = read_record(job.folder, job.key)
    if result is None:
        return False
    counted = not job.count_on or result.failed
    return counted or read_count(job.folder, job.count_on, result.sha256) is not None


def run_local(jobs: Sequence[Job], resources: Resources, say: Say) -> dict[str, TrialResult]:
    """Run all `jobs`; return results by key, also of failures that leave no record."""
    tasks = tasks_of(jobs)
    say(_announcement(jobs, tasks, resources))
    results: dict[str, TrialResult] = {}

    def on_end(index: int, ended: Ended) -> None:
        job = jobs[index]
        results[job.key] = result_of(job, ended, tasks[index].memory)
        say(f"{len(results)} of {len(jobs)}: {line_of(job, results[job.key])}")

    run_tasks(
        tasks, most=resources.most, memory=resources.bytes, environment=ENVIRONMENT, on_end=on_end
    )
    return results


def tasks_of(jobs: Sequence[Job]) -> list[Task]:
    """Return the command of each job with the memory that it takes."""
    weights = memory.weigh(list(dict.fromkeys(job.trial.choice.model for job in jobs)))
    return [
        Task(
            command=(
                sys.executable, "-W", "ignore", "-m", "exporter.compare.trial", job.to_json(),
            ),
            memory=memory.estimate(job.trial, weights[job.trial.choice.model]),
        )
        for job in jobs
    ]  # fmt: skip


def _announcement(jobs: Sequence[Job], tasks: Sequence[Task], resources: Resources) -> str:
    """Say how many run at a time, and why not more."""
    there = resources.bytes
    known = [task.memory for task in tasks if task.memory is not None]
    count = at_once(tasks, most=resources.most, memory=there)
    largest = f"the largest takes about {max(known) / 1e9:.1f} GB" if known else ""
    alone = len(tasks) - len(known)
    parts = [largest, f"{alone} of unknown size run alone" if alone else ""]
    why = ", ".join(filter(None, [*parts, f"{there / 1e9:.1f} GB are free"]))
    exports = "export" if len(jobs) == 1 else "exports"
    return f"{len(jobs)} {exports}, {count} at a time on {resources.most} cores ({why})"


def result_of(job: Job, ended: Ended, estimated: int | None) -> TrialResult:
    """Read what a process printed; one that ended otherwise is a failure that may pass."""
    if ended.code == 0:
        try:
            return TrialResult.model_validate_json(ended.out)
        except ValueError:
            pass  # it printed something else
    return TrialResult(
        key=job.key, name=job.trial.name, reason=f"{_death(ended, estimated)} It is tried again."
    )


def _death(ended: Ended, estimated: int | None) -> str:
    if ended.code == -getattr(signal, "SIGKILL", 9):
        size = "" if estimated is None else f" (estimated: {estimated / 1e9:.1f} GB)"
        return (
            "Its process was killed, as the system does when memory runs out"
            f"{size}. Give it more with --jobs 1."
        )
    lines = ended.errors.strip().splitlines()
    last = f": {lines[-1][:300]}" if lines else ""
    how = f"signal {-ended.code}" if ended.code < 0 else f"exit code {ended.code}"
    return f"Its process ended with {how}{last}."


def line_of(job: Job, result: TrialResult) -> str:
    """Say in a line what became of a trial."""
    name = f"{job.trial.name}.{job.trial.format}"
    if result.failed:
        return f"{name} failed: {result.reason.splitlines()[0][:160]}"
    quality = result.quality
    share = "" if quality is None or quality.agreement is None else f", {quality.agreement:.1%}"
    said = f"{share} {quality.metric}" if quality is not None and share else ""
    return f"{name}: {result.bytes / 1e6:.1f} MB{said}, {result.seconds:.0f} s"
