"""Run trials on a Ray cluster: what they read goes out once, their folders come back."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from runtime_check.files import atomic_folder

from ..errors import UsageError
from .key import Contents
from .local import Resources, Runner, Say, is_done, line_of, result_of, run_local, tasks_of
from .parcel import SOURCE, inputs_of, pack, packed, source_of_factory, unpack
from .pool import Ended
from .remote import Done, Errand, Parcel, environment, perform
from .result import TrialResult, read_record
from .trial import Job

EXTRA = "ray"
# As `pyproject.toml` says it.
HOW_TO_INSTALL = f"pip install 'torch-mobile-export[{EXTRA}]'"
# How often a trial is run whose process was killed, each time with twice the memory.
_ATTEMPTS = 3
# Of machines that die: Ray starts their trials on others, so many times each.
_RETRIES = 5
# Trials that wait at the cluster: it starts machines for them where it can.
_AHEAD = 128
_PATIENCE = 20.0  # seconds for trials to clean up after themselves
_CONNECTING = 10.0  # seconds
_PAUSE = 0.5  # seconds of waiting in which Ctrl-C is not seen


def ray_runner(address: str) -> Runner:
    """Return what runs jobs on the cluster at `address` (`auto`, HOST:PORT, ray://HOST:PORT).

    Each trial asks for one CPU and its estimated memory. A machine that dies loses nothing, and a
    trial that is killed runs again with more memory. What trials read is sent once, by the hash of
    its content; machines keep it. Counts that no machine can make are made here.

    The runner raises `UsageError` where Ray is not installed or no cluster answers.
    """

    def run(jobs: Sequence[Job], resources: Resources, say: Say) -> dict[str, TrialResult]:
        new = [job for job in jobs if read_record(job.folder, job.key) is None]
        results: dict[str, TrialResult] = {}
        if new:
            with _connected(address) as ray:
                results = _Cluster(ray, new, resources, say).run()
        uncounted = [job for job in jobs if _lacks_count(job, results)]
        if uncounted:
            say(f"{len(uncounted)} counts of instructions are left for this machine")
            results |= run_local(uncounted, resources, say)
        return results

    return run


def _lacks_count(job: Job, results: dict[str, TrialResult]) -> bool:
    failed = job.key in results and results[job.key].failed
    return not failed and not is_done(job)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Connect to a cluster that runs; Ray's own signal handlers are not ours."""
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            f"--ray: Ray is not installed, which runs trials on other machines. "
            f"Run: {HOW_TO_INSTALL}"
        ) from error
    no_answer = UsageError(
        f"--ray: no cluster answers at {address}. Start one with `ray start --head`, and join "
        "machines with the line that it prints; then give its address, or `auto` on one of them."
    )
    if not _listens(address):
        raise no_answer
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise no_answer from error
    except SystemExit as error:  # Ray's own answer to SIGTERM
        raise KeyboardInterrupt from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    try:
        # A thread of Ray's prints there what happens to machines, and no option stops it. Output
        # is ours alone, and may be JSON; what a run says while it is connected goes to stderr.
        with redirect_stdout(io.StringIO()):
            yield ray
    finally:
        ray.shutdown()


def _listens(address: str) -> bool:
    """Whether somebody is at HOST:PORT. Ray itself would try for minutes, and say so."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "") or _last_started()
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return not address.startswith("ray://")  # Ray knows at once
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECTING).close()
    except (OSError, OverflowError):
        return False
    return True


def _last_started() -> str:
    """Return the address that `ray start` left for `auto`; that cluster may be dead by now."""
    try:
        return (Path(tempfile.gettempdir()) / "ray" / "ray_current_cluster").read_text("utf-8")
    except OSError:
        return ""


@dataclass(frozen=True)
class _Attempt:
    index: int
    number: int
    memory: int | None


@dataclass
class _Cluster:
    """The trials of one run, and where they are."""

    ray: Any
    jobs: Sequence[Job]
    resources: Resources
    say: Say
    contents: Contents = field(default_factory=Contents)
    sent: dict[str, Any] = field(default_factory=dict)  # references to bytes, by their hash
    running: dict[Any, _Attempt] = field(default_factory=dict)
    results: dict[str, TrialResult] = field(default_factory=dict)

    def run(self, work: Callable[..., Done] | None = None) -> dict[str, TrialResult]:
        """Run all jobs; return their results by key. Whatever is raised, nothing goes on there.

        `work` is what a worker does with an errand, for measuring all that is around it.
        """
        tasks = tasks_of(self.jobs)
        waiting = deque(_Attempt(i, 1, task.memory) for i, task in enumerate(tasks))
        cores, _ = self._size()
        self.say(f"{len(self.jobs)} exports on a cluster that has {cores} cores now")
        remote = self.ray.remote(work or _on_worker)
        try:
            while waiting or self.running:
                cores, largest = self._size()
                most = self.resources.jobs or cores + _AHEAD
                while waiting and len(self.running) < most:
                    self._submit(remote, waiting.popleft(), largest)
                ready, _ = self.ray.wait([*self.running], num_returns=1, timeout=_PAUSE)
                for reference in ready:
                    attempt = self.running.pop(reference)
                    again = self._ended(reference, attempt)
                    if again is not None:
                        waiting.appendleft(again)
        finally:
            self._stop()
        return self.results

    def _size(self) -> tuple[int, int]:
        """Return the cores of the cluster, and the memory of its largest machine in bytes."""
        there = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        cores = int(sum(each.get("CPU", 0) for each in there))
        return cores, int(
            max((each.get("memory", 0) for each in there if each.get("CPU")), default=0)
        )

    def _submit(self, remote: Any, attempt: _Attempt, largest: int) -> None:
        """Hand a trial to the cluster; of unknown size, it gets the most there is."""
        memory = largest if attempt.memory is None else min(attempt.memory, largest)
        job = self.jobs[attempt.index]
        errand = Errand(
            job=job.to_json(), reads=self._reads(job), environment=environment(job.trial.format)
        )
        references = {parcel.sha256: self.sent[parcel.sha256] for parcel in errand.reads.values()}
        options = remote.options(num_cpus=1, memory=memory, max_retries=_RETRIES)
        self.running[options.remote(errand, references)] = attempt

    def _reads(self, job: Job) -> dict[str, Parcel]:
        """Send what a job reads, each content once."""
        parcels = {}
        for name, path in inputs_of(job.trial).items():
            sha256 = self.contents.of(path)
            assert sha256 is not None, "a path has content"
            self._send(sha256, partial(packed, path))
            name_there = path.name if path.is_file() else ""
            parcels[name] = Parcel(sha256=sha256, name=name_there, path=str(path))
        source = source_of_factory(job.trial.choice.model)
        if source is not None:
            root, files = source
            data = pack(root, files)
            sha256 = hashlib.sha256(data).hexdigest()
            self._send(sha256, lambda: data)
            parcels[SOURCE] = Parcel(sha256=sha256, name="", path=str(root))
        return parcels

    def _send(self, sha256: str, data: Callable[[], bytes]) -> None:
        if sha256 not in self.sent:
            self.sent[sha256] = self.ray.put(data())

    def _ended(self, reference: Any, attempt: _Attempt) -> _Attempt | None:
        """Take what a trial left; return its next attempt where its process was killed."""
        job = self.jobs[attempt.index]
        try:
            done: Done = self.ray.get(reference)
        except self.ray.exceptions.OutOfMemoryError as error:
            done = Done(ended=Ended(code=-signal.SIGKILL, out="", errors=str(error)))
        except self.ray.exceptions.RayError as error:
            why = str(getattr(error, "cause", None) or error).strip().splitlines()
            done = Done(ended=Ended(code=1, out="", errors=(why or [type(error).__name__])[-1]))
        if done.killed and attempt.number < _ATTEMPTS:
            more = None if attempt.memory is None else 2 * attempt.memory
            return _Attempt(attempt.index, attempt.number + 1, more)
        if done.folder is not None:
            with atomic_folder(job.folder) as new:
                unpack(done.folder, new)
        self.results[job.key] = result_of(job, done.ended, attempt.memory)
        self.say(f"{len(self.results)} of {len(self.jobs)}: {line_of(job, self.results[job.key])}")
        return None

    def _stop(self) -> None:
        """End what runs, and wait until it cleaned up."""
        left = [*self.running]
        for reference in left:
            self.ray.cancel(reference)
        if left:
            self.ray.wait(left, num_returns=len(left), timeout=_PATIENCE)


def _on_worker(errand: Errand, references: dict[str, Any]) -> Done:
    """Run an errand in a worker of Ray's; bytes are fetched where this machine lacks them."""
    import ray

    def fetch(sha256: str) -> bytes:
        data: bytes = ray.get(references[sha256])
        return data

    return perform(errand, fetch)
