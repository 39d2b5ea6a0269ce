"""Run a plan: export what is missing, in parallel; then time all files; then put it together."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from runtime_check.errors import RuntimeCheckError
from runtime_check.options import Format
from runtime_check.scratch import clean, folder_made, reserved, scratch_folder
from runtime_check.together import FINISHED, put_in_place

from ..errors import UsageError
from ..package.workspace import ENDINGS
from .count import counting_runtimes
from .key import Contents, code_sha256, key_of
from .local import Resources, Runner, Say, is_done, run_local
from .page import write_html
from .plan import ComparePlan
from .result import Comparison, TrialResult, read_record, write_json
from .rows import judged, row_of
from .timing import Timing, measure
from .trial import Job

TRIALS = "trials"
JSON, HTML = "compare.json", "compare.html"
_WAIT = 1.0  # seconds for another comparison that may be about to end
_SHOWN_KEY = 12  # digits of the key in a folder's name
_LONGEST = 100  # characters of the file's name in it


class NothingExported(UsageError):
    """No trial of a plan has a file. `comparison` has the reasons; nothing was written of it."""

    def __init__(self, comparison: Comparison) -> None:
        super().__init__(f"Nothing could be exported: {comparison.rows[0].reason}")
        self.comparison = comparison


def compare(
    plan: ComparePlan,
    *,
    out: Path,
    resources: Resources | None = None,
    count: bool | None = None,
    picks: bool = False,
    runner: Runner = run_local,
    say: Say = lambda text: None,
) -> Comparison:
    """Bring `out` up to date with `plan`: trials, `compare.json` and `compare.html`.

    Trials that are there are kept, by a key over all that decides their result. `count` is whether
    instructions are counted; None counts where the device runtime is installed. With `picks` the
    winner under the budget is copied into `out` with its reports. `say` gets lines for people.

    Raises `NothingExported` where no trial has a file, `UsageError` where another comparison writes
    in `out`, `ExportError` for folders that cannot be read. What stops it (Ctrl-C,
    SIGTERM) leaves finished trials and no half of one.
    """
    resources = resources or Resources()
    with _reserved(out):
        runtimes, missing = counting_runtimes(plan.formats, count)
        jobs = jobs_of(plan, out, runtimes)
        left = [job for job in jobs if not is_done(job)]
        if len(left) < len(jobs):
            say(f"{len(jobs) - len(left)} of {len(jobs)} are there")
        ran = runner(left, resources, say) if left else {}
        results = [read_record(job.folder, job.key) or ran[job.key] for job in jobs]
        timing = _timed(jobs, results, plan.rounds, resources, out, say)
        rows = [row_of(job, r, timing, out) for job, r in zip(jobs, results, strict=True)]
        comparison = judged(plan, rows, timing, missing, picks=picks)
        if not comparison.exported:
            raise NothingExported(comparison)
        _publish(comparison, out)
        return comparison


@contextmanager
def _reserved(out: Path) -> Iterator[None]:
    """Keep other comparisons out of `out`, which is made, and clean up what a killed one left."""
    busy = (
        f"Another comparison is writing in {out}. Wait until it is done, or choose another --out."
    )
    with ExitStack() as stack:
        try:
            stack.enter_context(folder_made(out))
            stack.enter_context(reserved(out / JSON, wait=_WAIT, busy=busy))
        except RuntimeCheckError as error:
            raise UsageError(str(error)) from error
        except OSError as error:
            why = error.strerror or error
            raise UsageError(f"--out: cannot write in {out}: {why}.") from error
        if (out / TRIALS).is_dir():
            clean(out / TRIALS)
        yield


def jobs_of(plan: ComparePlan, out: Path, runtimes: Mapping[Format, str]) -> list[Job]:
    """Return what is to be there for each trial of the plan, and in which folder."""
    contents, code = Contents(), code_sha256()
    jobs = []
    for trial in plan.trials():
        key = key_of(trial, contents, code)
        name = f"{trial.name[:_LONGEST]}-{trial.format}-{key[:_SHOWN_KEY]}"
        folder = out.absolute() / TRIALS / name
        # Where a process starts does not matter then, nor is a folder `noise` taken for the word.
        trial = trial.absolute()
        count_on = runtimes.get(trial.format, "")
        jobs.append(Job(trial=trial, key=key, folder=folder, count_on=count_on))
    return jobs


def _timed(
    jobs: Sequence[Job],
    results: Sequence[TrialResult],
    rounds: int,
    resources: Resources,
    out: Path,
    say: Say,
) -> Timing | None:
    files = {
        result.sha256: job.folder / result.file
        for job, result in zip(jobs, results, strict=True)
        if not result.failed
    }
    if not files:
        return None
    return measure(files, rounds=rounds, memory=resources.bytes, folder=out, say=say)


def _publish(comparison: Comparison, out: Path) -> None:
    """Put page, JSON and the picked file with its reports into `out`, all of them or none."""
    with scratch_folder(out) as scratch:
        finished = scratch / FINISHED
        finished.mkdir()
        write_html(comparison, finished / HTML)
        write_json(comparison, finished / JSON)
        for row in comparison.rows:
            if row.file and row.file == comparison.picked:
                for ending in ENDINGS[row.format]:
                    name = f"{row.name}{ending}"
                    shutil.copyfile(out / row.folder / name, finished / name)
        put_in_place([scratch])
