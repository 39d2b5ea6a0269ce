"""Running trials here: what is said, and what is made of how a process ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from exporter.compare import local
from exporter.compare.local import Resources, is_done, line_of, result_of, run_local
from exporter.compare.pool import Ended
from exporter.compare.result import COUNTED, RECORD, Counted, Quality, TrialResult
from exporter.compare.trial import Job
from exporter.errors import UsageError

from .trials import plan

(TRIAL,) = plan("test_vit").trials()


def job(folder: Path) -> Job:
    return Job(trial=TRIAL, key="k", folder=folder)


def test_a_job_is_done_with_its_record_and_its_count(tmp_path: Path) -> None:
    one = job(tmp_path)
    assert not is_done(one)
    result = TrialResult(key="k", name="test_vit", file="test_vit.ptl", sha256="s")
    (tmp_path / RECORD).write_text(result.model_dump_json(), encoding="utf-8")
    (tmp_path / "test_vit.ptl").touch()
    assert is_done(one)
    counting = replace(one, count_on="arm64-2.1.0")
    assert not is_done(counting)
    counted = Counted(runtime="arm64-2.1.0", sha256="s", instructions=1)
    (tmp_path / COUNTED).write_text(counted.model_dump_json(), encoding="utf-8")
    assert is_done(counting)


@pytest.mark.parametrize(
    ("ended", "says"),
    [
        (Ended(code=-9, out="", errors=""), r"was killed.*memory.*\(estimated: 3\.0 GB\)"),
        (Ended(code=-11, out="", errors="a\nSegmentation fault\n"), "signal 11: Segmentation"),
        (Ended(code=1, out="", errors="Traceback\nKeyError: 1"), "exit code 1: KeyError: 1"),
        (Ended(code=0, out="hello", errors=""), "exit code 0"),
    ],
)
def test_a_process_that_ended_otherwise_is_a_failure_that_may_pass(
    ended: Ended, says: str, tmp_path: Path
) -> None:
    import re

    result = result_of(job(tmp_path), ended, 3_000_000_000)
    assert result.failed
    assert re.search(says, result.reason)
    assert result.reason.endswith("It is tried again.")


def test_lines_about_trials(tmp_path: Path) -> None:
    quality = Quality(on="images", images=3, metric="top-1 agreement", agreement=0.75)
    made = TrialResult(
        key="k", name="test_vit", file="f", bytes=1_600_000, quality=quality, seconds=7.4
    )
    assert line_of(job(tmp_path), made) == "test_vit.ptl: 1.6 MB, 75.0% top-1 agreement, 7 s"
    failed = TrialResult(key="k", name="test_vit", reason="It broke.\nAnd more.")
    assert line_of(job(tmp_path), failed) == "test_vit.ptl failed: It broke."


def test_jobs_are_at_least_one() -> None:
    assert Resources(jobs=3).most == 3
    assert Resources().most >= 1
    with pytest.raises(UsageError, match="--jobs"):
        Resources(jobs=0)


def test_failures_come_back_and_the_limits_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local.memory, "weigh", lambda models: dict.fromkeys(models, 20_000_000))
    (trial,) = plan("no_such_model").trials()
    jobs = [Job(trial=trial, key=key, folder=tmp_path / key) for key in "ab"]
    said: list[str] = []
    found = run_local(jobs, Resources(jobs=2, memory=3_000_000_000), said.append)
    assert {key: "no_such_model" in result.reason for key, result in found.items()} == {
        "a": True, "b": True,
    }  # fmt: skip
    assert said[0] == (
        "2 exports, 1 at a time on 2 cores (the largest takes about 2.1 GB, 3.0 GB are free)"
    )
    assert said[1].startswith("1 of 2: no_such_model.ptl failed: ")
