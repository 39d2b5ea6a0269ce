"""Whole comparisons of small models: the files, going on after an end, and what stays untouched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from exporter.compare import run as module
from exporter.compare.local import Resources, Say, run_local
from exporter.compare.plan import ComparePlan, Limits, ModelChoice
from exporter.compare.result import Comparison, TrialResult, without_measured
from exporter.compare.run import NothingExported, compare, jobs_of
from exporter.compare.trial import Job
from exporter.errors import UsageError
from runtime_check.scratch import reserved
from runtime_check.together import SCRATCH

from .trials import alive, plan, write_pictures

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("photos") / "plain", 6)


def small(photos: Path, **options: object) -> ComparePlan:
    """A transformer in float and in int8, and a model that there is not."""
    return ComparePlan(
        models=(
            ModelChoice(model="test_vit", random_weights=True),
            ModelChoice(model="no_such_model"),
        ),
        recipes=("none", "dynamic"),
        evaluate=photos,
        rounds=1,
        **options,
    )


@pytest.fixture(scope="module")
def done(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    out = tmp_path_factory.mktemp("done") / "out"
    asked = small(photos, budget=Limits(mb=1.0))
    return out, compare(asked, out=out, count=False, picks=True)


def test_what_a_comparison_leaves(done: tuple[Path, Comparison]) -> None:
    out, found = done
    names = {p.name for p in out.iterdir()}
    picked = {f"test_vit-dynamic{end}" for end in (".ptl", ".report.json", ".report.html")}
    assert names == {"compare.json", "compare.html", "timing.json", "trials"} | picked
    text = (out / "compare.json").read_text(encoding="utf-8")
    assert Comparison.model_validate_json(text) == found
    assert [(r.name, r.failed) for r in found.rows] == [
        ("test_vit", False), ("test_vit-dynamic", False),
        ("no_such_model", True), ("no_such_model-dynamic", True),
    ]  # fmt: skip
    for row in found.exported:
        assert (out / row.report).is_file()
        assert (row.images, row.on) == (6, "images")
        assert row.ms is not None
        assert row.instructions is None
    assert "no model called 'no_such_model'" in found.rows[2].reason
    assert found.picked == "test_vit-dynamic.ptl", "the other has more than a megabyte"
    page = (out / "compare.html").read_text(encoding="utf-8")
    assert all(f'href="{row.report}"' in page for row in found.exported)


def test_started_again_it_takes_what_is_there(
    done: tuple[Path, Comparison], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, found = done
    ran: list[str] = []

    def runner(jobs: Sequence[Job], resources: Resources, say: Say) -> dict[str, TrialResult]:
        ran.extend(job.trial.name for job in jobs)
        return run_local(jobs, resources, say)

    again = compare(
        small(photos, budget=Limits(mb=1.0)), out=out, count=False, picks=True, runner=runner
    )
    assert ran == ["no_such_model", "no_such_model-dynamic"], "which may be there by now"
    assert without_measured(again) == without_measured(found)
    assert [r.ms for r in again.rows] == [r.ms for r in found.rows], "the same files: not again"


def test_other_images_make_other_trials(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 2)
    before = [job.key for job in jobs_of(small(photos), tmp_path, {})]
    write_pictures(photos, 3, seed=5)
    after = [job.key for job in jobs_of(small(photos), tmp_path, {})]
    assert not set(before) & set(after)


def test_two_comparisons_do_not_write_in_one_folder(photos: Path, tmp_path: Path) -> None:
    with (
        reserved(tmp_path / "compare.json", wait=0, busy=""),
        pytest.raises(UsageError, match="Another comparison is writing"),
    ):
        compare(small(photos), out=tmp_path, count=False)


def test_an_error_leaves_no_folder_behind(photos: Path, tmp_path: Path) -> None:
    def runner(jobs: Sequence[Job], resources: Resources, say: Say) -> dict[str, TrialResult]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(small(photos), out=tmp_path / "deep" / "out", count=False, runner=runner)
    assert not (tmp_path / "deep").exists()


def test_a_folder_that_cannot_be_made_is_said(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--out: cannot write in"):
        compare(small(photos), out=tmp_path / "file", count=False)


def test_nothing_exported_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(NothingExported, match="no model called 'no_such_model'") as caught:
        compare(plan("no_such_model"), out=tmp_path / "out", count=False, picks=True)
    assert [row.failed for row in caught.value.comparison.rows] == [True]
    assert caught.value.comparison.picked_why.startswith("Nothing was exported")
    assert not (tmp_path / "out").exists()


def command(out: Path, photos: Path) -> subprocess.Popen[bytes]:
    words = ["test_vit", "--random-weights", "--recipes", "none,dynamic"]
    return subprocess.Popen(
        [sys.executable, "-m", "exporter", "compare", *words, "--evaluate", str(photos),
         "--no-count", "--jobs", "1", "-o", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are looked for in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ended_half_way_it_goes_on(number: signal.Signals, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    trials = out / module.TRIALS
    with command(out, photos) as process:
        until = time.monotonic() + 120
        while not [*trials.glob("test_vit-*")] and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(1.5)  # the second trial is at it
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert errors.decode().strip().endswith("error: interrupted.")
        assert not [*trials.glob(f"{SCRATCH}*")]
    until = time.monotonic() + 30
    while alive(out) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive(out)
    finished = {p: p.stat().st_mtime_ns for p in trials.glob("test_*")}
    assert finished
    assert not (out / "compare.json").exists()
    with command(out, photos) as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    assert f"{len(finished)} of 2 are there" in errors.decode()
    assert {p: p.stat().st_mtime_ns for p in finished} == finished, "kept, not made again"
    found = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    assert [row["reason"] for row in found["rows"]] == [""] * 2
    assert not [*trials.glob(f"{SCRATCH}*")]
