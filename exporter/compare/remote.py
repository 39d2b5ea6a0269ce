"""A trial on another machine: lay out what it reads, run its process, send its folder back."""

from __future__ import annotations

import functools
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import exporter
from runtime_check.device.toolchain import cache_root
from runtime_check.errors import RuntimeCheckError
from runtime_check.options import Format

from .count import counting_runtimes
from .key import code_sha256, versions
from .local import ENVIRONMENT
from .parcel import SOURCE, laid_out, pack_folder, with_inputs
from .pool import Ended, Task, run_tasks
from .trial import Job

STORE = "compare"  # in the user's cache: what trials read, a folder for each content
_KILLED = -9


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """What a trial reads: its hash, and what it is called, since reports may say so."""

    sha256: str
    name: str
    path: str  # where it lies at the machine that sent it, for messages


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A job for another machine. `job` is JSON; `reads` what it needs, by the trial's fields."""

    job: str
    reads: Mapping[str, Parcel]
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a trial's process ended, and its folder packed; None where it left none."""

    ended: Ended
    folder: bytes | None = None

    @property
    def killed(self) -> bool:
        """Whether the system killed it, as it does when memory runs out."""
        return self.ended.code == _KILLED


@functools.cache
def environment(format: Format) -> dict[str, str]:
    """Return what has to be the same for results to be: code, Python, packages."""
    named = {name: version or "none" for name, version in versions(format).items()}
    return {"exporter": code_sha256()[:16], "Python": platform.python_version(), **named}


def perform(errand: Errand, fetch: Callable[[str], bytes | memoryview]) -> Done:
    """Run the trial of `errand` here; `fetch` returns the bytes of a hash, where they are missing.

    A machine that has other versions runs nothing: its results would be others.
    """
    job = Job.from_json(errand.job)
    here = environment(job.trial.format)
    other = [
        f"{name} {here[name]} (not {version})"
        for name, version in errand.environment.items()
        if here[name] != version
    ]
    if other:
        where = platform.node()
        return Done(
            ended=Ended(code=2, out="", errors=f"{where} has other code: {', '.join(other)}")
        )
    places = {name: _place(parcel, fetch) for name, parcel in errand.reads.items()}
    with tempfile.TemporaryDirectory() as scratch:
        job = _here(job, places, Path(scratch) / "trial")
        ended = _run(job, places.get(SOURCE, Path(scratch)))
        folder = pack_folder(job.folder) if job.folder.is_dir() else None
    out = ended.out
    for name, parcel in errand.reads.items():  # the sender knows it by its own name
        out = out.replace(str(places[name]), parcel.path)
    return Done(ended=replace(ended, out=out), folder=folder)


def _place(parcel: Parcel, fetch: Callable[[str], bytes | memoryview]) -> Path:
    folder = cache_root() / STORE / parcel.sha256
    if not folder.is_dir():
        laid_out(fetch(parcel.sha256), folder)
    inside = folder / parcel.name
    return inside if inside.is_file() else folder


def _here(job: Job, places: Mapping[str, Path], folder: Path) -> Job:
    """Return `job` with this machine's paths; instructions are counted where that is possible."""
    trial = with_inputs(job.trial, {k: v for k, v in places.items() if k != SOURCE})
    count_on = job.count_on
    if count_on:
        try:
            found, _ = counting_runtimes([job.trial.format], None)
        except RuntimeCheckError:
            found = {}
        count_on = found.get(job.trial.format, "")
    return replace(job, trial=trial, folder=folder, count_on=count_on)


def _run(job: Job, cwd: Path) -> Ended:
    found: list[Ended] = []
    root = str(Path(exporter.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    command = (sys.executable, "-W", "ignore", "-m", "exporter.compare.trial", job.to_json())
    run_tasks(
        [Task(command=command, memory=None, cwd=cwd)],
        most=1,
        memory=0,
        environment={**ENVIRONMENT, "PYTHONPATH": path},
        on_end=lambda _, ended: found.append(ended),
    )
    return found[0]
