"""One trial: its folder is whole or not there, and passing failures leave nothing."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.compare import trial as module
from exporter.compare.plan import ModelChoice
from exporter.compare.result import RECORD, Counted, TrialResult, read_record
from exporter.compare.trial import Job, run_trial
from exporter.errors import ExportError
from runtime_check.together import SCRATCH

from .trials import plan

ROOT = Path(__file__).parents[3]


def job(folder: Path, model: str = "test_vit", recipe: str = "none") -> Job:
    (trial,) = plan(model, recipes=(recipe,)).trials()
    return Job(trial=trial, key="k" * 64, folder=folder / "trials" / "one")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, TrialResult]:
    one = job(tmp_path_factory.mktemp("made"))
    return one, run_trial(one)


def test_what_a_trial_leaves(made: tuple[Job, TrialResult]) -> None:
    one, result = made
    assert {p.name for p in one.folder.iterdir()} == {
        "test_vit.ptl", "test_vit.report.json", "test_vit.report.html", RECORD,
    }  # fmt: skip
    content = (one.folder / "test_vit.ptl").read_bytes()
    assert result.sha256 == hashlib.sha256(content).hexdigest()
    assert result.bytes == len(content)
    assert (result.quantization, result.untrained) == ("none", True)
    assert result.quality is not None
    assert (result.quality.on, result.quality.agreement) == ("golden inputs", 1.0)
    assert result.seconds > 0
    assert result.peak_bytes > 10**8
    assert read_record(one.folder, one.key) == result


def test_what_is_there_is_not_made_again(
    made: tuple[Job, TrialResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, result = made
    monkeypatch.setattr(module, "_export", None)
    assert run_trial(one) == result


def test_a_refusal_is_a_result(tmp_path: Path) -> None:
    one = job(tmp_path, "tests.fuzzed_models:Noise")
    one = replace(one, trial=replace(one.trial, input_size=16))
    result = run_trial(one)
    assert result.failed
    assert result.reason
    assert [p.name for p in one.folder.iterdir()] == [RECORD]
    assert run_trial(one) == result


@pytest.mark.parametrize("model", ["no_such_model", "no.such.module:make"])
def test_what_may_pass_is_tried_again(model: str, tmp_path: Path) -> None:
    one = job(tmp_path, model)
    assert run_trial(one).reason
    assert not one.folder.exists()


def test_a_full_disk_may_pass_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(job: Job, out: Path) -> TrialResult:
        (out / "half.ptl").write_bytes(b"half")
        raise ExportError("No space left.")

    monkeypatch.setattr(module, "_export", full)
    one = job(tmp_path)
    assert run_trial(one).reason == "No space left."
    assert not one.folder.exists()


def test_counting_alone_takes_the_file_that_is_there(
    made: tuple[Job, TrialResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    from exporter.compare import count

    asked = []

    def counting(folder: Path, file: str, runtime: str) -> Counted:
        asked.append((folder, file, runtime))
        return Counted(runtime=runtime, sha256="", instructions=1)

    monkeypatch.setattr(count, "count_instructions", counting)
    one, result = made
    assert run_trial(replace(one, count_on="arm64-2.1.0")) == result
    assert asked == [(one.folder, "test_vit.ptl", "arm64-2.1.0")]


def test_a_job_is_the_same_on_the_other_side(tmp_path: Path) -> None:
    one = job(tmp_path, recipe="dynamic")
    one = replace(one, trial=replace(one.trial, choice=ModelChoice(model="a", labels=tmp_path)))
    assert module._JOB.validate_json(one.to_json()) == one


def start(one: Job) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "exporter.compare.trial", one.to_json()],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_its_process_prints_the_result_and_nothing_else(made: tuple[Job, TrialResult]) -> None:
    one, result = made
    with start(one) as process:
        assert process.stdout is not None
        assert TrialResult.model_validate_json(process.stdout.read()) == result
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGTERM", "parent gone", "SIGKILL"])
def test_whatever_ends_it_leaves_no_half_of_a_trial(how: str, tmp_path: Path) -> None:
    one = job(tmp_path)
    with start(one) as process:
        trials = one.folder.parent
        until = time.monotonic() + 60
        while not [*trials.glob(f"{SCRATCH}*/new")] and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1.0)  # in the middle of the export
        if how == "parent gone":
            assert process.stdin is not None
            process.stdin.close()
        else:
            process.send_signal(getattr(signal, how))
        process.wait(timeout=60)
    assert process.returncode != 0
    assert not one.folder.exists()
    if how != "SIGKILL":
        assert not trials.exists() or not [*trials.iterdir()]
    assert not run_trial(one).failed
    assert [p.name for p in trials.iterdir()] == ["one"], "the next trial cleans up"
