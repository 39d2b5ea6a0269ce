"""Put a comparison together: a row for each trial, ranked, with fronts and the pick."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..environment import version_of
from ..report.report import beside
from .front import pick, with_budget, with_fronts, worth_of
from .plan import ComparePlan, as_values
from .result import Comparison, Row, TrialResult, read_count
from .timing import Timing
from .trial import Job


def row_of(job: Job, result: TrialResult, timing: Timing | None, out: Path) -> Row:
    """Return what is known of one trial; `out` is the folder of `compare.json`."""
    trial = job.trial
    base = Row(
        name=trial.name,
        model=trial.choice.model,
        recipe=trial.recipe,
        input_size=trial.input_size,
        format=trial.format,
        key=job.key,
        reason=result.reason,
        seconds=result.seconds or None,
        peak_mb=round(result.peak_bytes / 1e6, 1) or None,
    )
    if result.failed:
        return base
    folder = job.folder.relative_to(out.absolute()).as_posix()
    counted = read_count(job.folder, job.count_on, result.sha256) if job.count_on else None
    quality = result.quality
    assert quality is not None, "what has a file was judged"
    return base.model_copy(
        update={
            "folder": folder,
            "file": result.file,
            "report": beside(Path(folder) / result.file, ".report.html").as_posix(),
            "sha256": result.sha256,
            "task": result.task,
            "quantization": result.quantization,
            "untrained": result.untrained,
            "mb": result.bytes / 1e6,
            "ms": None if timing is None else timing.ms.get(result.sha256),
            "instructions": None if counted is None else counted.instructions,
            "counted_on": "" if counted is None else counted.runtime,
            **quality.model_dump(),
        }
    )


def judged(
    plan: ComparePlan,
    rows: Sequence[Row],
    timing: Timing | None,
    missing: Sequence[str],
    *,
    picks: bool,
) -> Comparison:
    """Rank `rows`, find the fronts, and with `picks` the winner; `missing` says what is blank."""
    by = worth_of(rows)
    ranked = with_budget(with_fronts(rows, by), plan.budget)
    best, why = pick(ranked, plan.budget, by) if picks else (None, "")
    packages = ("torch-mobile-export", "torch", "timm")
    return Comparison(
        made_by={name: version_of(name) or "" for name in packages},
        plan=as_values(plan),
        worth=by,
        rows=ranked,
        picked=None if best is None else best.file,
        picked_why=why,
        device=None if timing is None else timing.device,
        timing="" if timing is None else str(timing),
        counting=" ".join(missing),
    )
