"""One trial in a process of its own: export, judge, count; its folder appears whole or not at all.

TorchScript never gives memory back, and a network that kills its process must not take others with
it. The process is started by `pool` with a `Job` as its argument and prints one `TrialResult`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from runtime_check.errors import RuntimeCheckError
from runtime_check.files import atomic_folder
from runtime_check.stopping import command_line

from ..errors import ExportError, SourceError
from .plan import Trial
from .result import RECORD, TrialResult, read_record

# What a machine or a network may do better next time: these failures are tried again. All others
# are what the model and the recipe decide, and are results.
PASSING = (ExportError, SourceError)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process is to bring about: the folder of a trial, and the count of its file."""

    trial: Trial
    key: str
    folder: Path
    count_on: str = ""  # a device runtime; empty: nothing is counted

    def to_json(self) -> str:
        """Write it as the argument of the process."""
        return _JOB.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read what `to_json` wrote."""
        return _JOB.validate_json(text)


_JOB = TypeAdapter(Job)


def run_trial(job: Job) -> TrialResult:
    """Bring about what `job` says, as far as it is not there yet; a failure is a result too."""
    result = read_record(job.folder, job.key)
    if result is None:
        result = _made(job)
    if job.count_on and not result.failed:
        from .count import count_instructions

        count_instructions(job.folder, result.file, job.count_on)
    return result


def _made(job: Job) -> TrialResult:
    """Export and judge into the trial's folder. What may pass leaves nothing there."""
    started = time.perf_counter()
    try:
        with atomic_folder(job.folder) as new:
            try:
                result = _export(job, new)
            except (ExportError, RuntimeCheckError) as error:
                if type(error) in PASSING:
                    raise
                for left in new.glob("*.*"):  # an export that was made and could not be judged
                    left.unlink(missing_ok=True)
                result = _failed(job, str(error))
            seconds, peak = round(time.perf_counter() - started, 2), peak_bytes()
            result = result.model_copy(update={"seconds": seconds, "peak_bytes": peak})
            (new / RECORD).write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except PASSING as error:
        return _failed(job, str(error))
    except OSError as error:
        return _failed(job, f"{error.filename or job.folder}: {error.strerror or error}.")
    return result


def _failed(job: Job, reason: str) -> TrialResult:
    return TrialResult(key=job.key, name=job.trial.name, reason=reason)


def _export(job: Job, out: Path) -> TrialResult:
    from runtime_check.metrics import metric_of

    from ..environment import one_thread
    from ..guard import export_errors
    from ..pipeline import export
    from ..plan import make_plan
    from ..quiet import quiet
    from ..source import source_of
    from .judge import from_ledger, judge

    trial = job.trial
    options = trial.options(out)
    with export_errors(trial.choice.model):
        artifact = export(trial.choice.model, options)
        assert artifact.report is not None, "an export has its report"
        metadata = artifact.metadata
        if trial.evaluate is None:
            quality = from_ledger(artifact.report.ledger[-1], metric_of(metadata))
        else:
            with one_thread(), quiet():
                plan = make_plan(source_of(trial.choice.model, options), options)
                quality = judge(artifact, plan, trial.evaluate)
    return TrialResult(
        key=job.key,
        name=trial.name,
        file=artifact.path.name,
        sha256=artifact.report.file_sha256,
        bytes=artifact.report.file_bytes,
        task=metadata.task,
        quantization=metadata.quantization.recipe or metadata.quantization.method,
        untrained=metadata.provenance.weights.origin == "random",
        quality=quality,
    )


def peak_bytes() -> int:
    """Return the most memory this process and the largest of its children took; 0 on Windows."""
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return unit * sum(resource.getrusage(who).ru_maxrss for who in whose)


@contextmanager
def _alone() -> Iterator[int]:
    """Keep stdout for the result: what a model's code prints goes to stderr. Yields where to."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield kept
    finally:
        os.close(kept)


def _end_with_parent(done: threading.Event) -> None:
    """End this process in order when its stdin closes before it is `done`: the parent is gone."""

    def watch() -> None:
        while os.read(0, 1024):  # not by sys.stdin, whose lock Python wants when it ends
            pass
        if not done.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main(argument: str) -> None:
    """Run the job in `argument` and print its result as JSON."""
    done = threading.Event()
    with command_line(), _alone() as out:
        _end_with_parent(done)
        sys.path[:0] = [""]  # factories are looked for where the command was started
        result = run_trial(Job.from_json(argument))
        done.set()
        os.write(out, result.model_dump_json().encode())


if __name__ == "__main__":
    main(sys.argv[1])
