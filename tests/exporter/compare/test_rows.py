"""Rows from results, and the comparison made of them."""

from __future__ import annotations

from pathlib import Path

from exporter.compare.plan import Limits
from exporter.compare.result import COUNTED, Counted, Quality, TrialResult
from exporter.compare.rows import judged, row_of
from exporter.compare.timing import Timing
from exporter.compare.trial import Job
from runtime_check.bench.run import this_device

from .trials import failure, plan, row

QUALITY = Quality(on="images", images=8, metric="top-1 agreement", agreement=0.75, sqnr_db=20.0)


def test_a_row_holds_what_was_measured(tmp_path: Path) -> None:
    (trial,) = plan("resnet18", input_sizes=(96,), formats=("pte",)).trials()
    folder = tmp_path / "trials" / "one"
    folder.mkdir(parents=True)
    counted = Counted(runtime="arm64-executorch", sha256="s", instructions=7)
    (folder / COUNTED).write_text(counted.model_dump_json(), encoding="utf-8")
    job = Job(trial=trial, key="k", folder=folder, count_on="arm64-executorch")
    result = TrialResult(
        key="k", name=trial.name, file="resnet18-96.pte", sha256="s", bytes=1_250_000,
        quality=QUALITY, seconds=3.0, peak_bytes=2_000_000,
    )  # fmt: skip
    timing = Timing(key="t", device=this_device(), rounds=3, groups=1, ms={"s": 4.5})
    found = row_of(job, result, timing, tmp_path)
    assert (found.folder, found.file) == ("trials/one", "resnet18-96.pte")
    assert found.report == "trials/one/resnet18-96.pte.report.html"
    assert (found.mb, found.ms, found.instructions) == (1.25, 4.5, 7)
    assert (found.agreement, found.sqnr_db, found.images) == (0.75, 20.0, 8)
    assert (found.seconds, found.peak_mb) == (3.0, 2.0)


def test_a_failure_has_a_reason_and_no_figures(tmp_path: Path) -> None:
    (trial,) = plan("resnet18").trials()
    job = Job(trial=trial, key="k", folder=tmp_path / "one")
    found = row_of(job, TrialResult(key="k", name="resnet18", reason="It broke."), None, tmp_path)
    assert found.failed
    assert (found.reason, found.mb, found.agreement) == ("It broke.", None, None)


def test_fronts_budget_and_pick_come_together() -> None:
    rows = [row("a", mb=1.0, agreement=0.5), row("b", mb=9.0), failure("c", "It broke.")]
    asked = plan("a", budget=Limits(mb=5.0))
    found = judged(asked, rows, None, ["No runtime."], picks=True)
    assert found.picked == "a.ptl"
    assert [r.within for r in found.rows] == [True, False, False]
    assert [r.fronts for r in found.rows] == [["mb"], ["mb"], []]
    assert (found.worth, found.counting, found.device) == ("agreement", "No runtime.", None)
    assert found.plan["budget"] == {"mb": 5.0}
    assert judged(asked, rows, None, [], picks=False).picked is None
