"""Files that crash, hang, flood or lie beyond their golden vectors do not pass, ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import runtime_check
from runtime_check import CheckOptions
from runtime_check.checking import Report
from runtime_check.cli import main
from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.install import find_installed
from runtime_check.device.runner import DeviceSession
from runtime_check.options import PropertyName
from runtime_check.runtimes import worker
from runtime_check.runtimes.host import HostSession

from . import hostile
from .hostile import make_hostile

REFERENCE = f"{hostile.__name__}:mean"
# For what is not to be late, starts on a busy machine above all; and for a process that is frozen.
PATIENCE = 120.0
FROZEN = 4.0


def check(path: Path, folder: Path, *properties: PropertyName, **options: Any) -> Report:
    options.setdefault("reference", REFERENCE)
    options.setdefault("timeout", 10.0)  # of loading, too, on a machine that is busy
    options.setdefault("examples", 8)
    return runtime_check.check(
        path, CheckOptions(properties=properties, counterexamples=folder / "found", **options)
    )


def test_the_honest_one_is_proven(tmp_path: Path) -> None:
    path = make_hostile(hostile.Mean(), tmp_path / "a.ptl")
    report = check(path, tmp_path)
    assert report.outcome == "proven", report.results
    # 8 drawn and 2 fixed inputs: a fault on a share p of them is missed with (1 - p) ** 10.
    assert report.compared == 10
    assert report.would_show is not None
    assert (1 - report.would_show) ** 10 == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("network", "name", "fault"),
    [
        (hostile.LoopsOnNan(), "nonfinite", "hung"),
        (hostile.LoopsOnLarge(), "parity", "hung"),
        (hostile.LoopsOnLarge(), "determinism", "hung"),
        (hostile.LoopsOnLarge(), "metadata", "hung"),
        (hostile.WrongOnLarge(), "parity", "differs"),
        (hostile.WrongEverywhere(), "parity", "differs"),
        (hostile.GrowsOnLarge(), "metadata", None),
        (hostile.GrowsOnLarge(), "determinism", "raised"),
        (hostile.AllocatesOnLarge(), "parity", None),
        (hostile.RaisesOnLarge(), "determinism", "raised"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_what_shows_only_beyond_the_golden_vectors_fails_alone_and_in_company(
    network: nn.Module, name: PropertyName, fault: str | None, tmp_path: Path
) -> None:
    path = make_hostile(network, tmp_path / "a.ptl")
    started = time.monotonic()
    alone = check(path, tmp_path, name, examples=20)
    assert alone.outcome == "failed", alone.results
    (result,) = alone.results
    assert result.fault == fault or fault is None
    assert time.monotonic() - started < 150
    if name == "nonfinite":
        # The properties after it meet a fresh process, and the whole still fails.
        report = check(path, tmp_path, "golden", "nonfinite", "batch")
        assert [r.status for r in report.results] == ["passed", "passed", "failed"]
        assert report.outcome == "failed"


def test_outputs_that_flood_end_at_once_with_a_sentence(tmp_path: Path) -> None:
    path = make_hostile(hostile.GrowsOnLarge(), tmp_path / "a.ptl")
    (result,) = check(path, tmp_path, "determinism", examples=20).results
    assert (result.status, result.fault) == ("failed", "raised")
    assert "268435456 bytes, and at most 67108864" in result.reason
    assert result.seconds < 30


def test_past_the_deadline_there_is_no_verdict(tmp_path: Path) -> None:
    path = make_hostile(hostile.Mean(), tmp_path / "a.ptl")
    names: tuple[PropertyName, ...] = (
        "golden", "parity", "metadata", "determinism", "batch", "nonfinite", "load-anywhere"
    )  # fmt: skip
    report = check(path, tmp_path, *names, deadline=1e-6)
    assert report.outcome == "undecided"
    assert [(r.status, r.fault) for r in report.results] == [("undecided", "late")] * 7
    assert "took more than 1e-06 s together" in report.results[0].reason


def test_a_file_cannot_excuse_itself_by_a_tolerance_of_its_own(tmp_path: Path) -> None:
    path = make_hostile(hostile.WrongEverywhere(), tmp_path / "a.ptl", atol=1000.0)
    with pytest.raises(runtime_check.RuntimeCheckError, match="nearly anything would pass"):
        check(path, tmp_path)


Harm = Callable[[int], None]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGSEGV)


def freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


@pytest.mark.slow
@pytest.mark.parametrize("call", [0, 3])
@pytest.mark.parametrize("harm", [kill, freeze])
@pytest.mark.parametrize(
    "name", ["golden", "metadata", "parity", "determinism", "batch", "nonfinite"]
)
def test_a_process_harmed_at_any_call_spoils_any_property(
    name: PropertyName, harm: Harm, call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real child, killed and stopped by the real system, while it is asked for an answer."""
    path = make_hostile(hostile.Mean(), tmp_path / "a.ptl")
    asked = 0
    forward = HostSession.forward

    def harmed(self: HostSession, *arguments: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == call + 1:
            harm(self._worker.process.pid)
            monkeypatch.setattr(self, "_timeout", FROZEN)
        return forward(self, *arguments, **options)

    monkeypatch.setattr(HostSession, "forward", harmed)
    report = check(path, tmp_path, name, timeout=PATIENCE)
    (result,) = report.results
    if name == "golden" and call == 3:  # which has two vectors
        assert result.status == "passed"
        return
    assert report.outcome == "failed"
    assert result.fault == ("crashed" if harm is kill else "hung")


@pytest.mark.slow
@pytest.mark.parametrize("harm", [kill, freeze])
@pytest.mark.parametrize("call", [0, 2])
@pytest.mark.parametrize("name", ["golden", "parity", "nonfinite"])
def test_the_same_on_the_phones_own_runtime(
    name: PropertyName, call: int, harm: Harm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = installed("arm64-2.1.0")
    path = make_hostile(hostile.Mean(), tmp_path / "a.ptl")
    asked = 0
    forward = DeviceSession.forward

    def harmed(self: DeviceSession, *arguments: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == call + 1:
            harm(self._worker.process.pid)
            monkeypatch.setattr(self, "_timeout", FROZEN)
        return forward(self, *arguments, **options)

    monkeypatch.setattr(DeviceSession, "forward", harmed)
    report = check(path, tmp_path, name, timeout=PATIENCE, run_on=arm, examples=3)
    (result,) = report.results
    if name == "golden" and call == 2:  # which has two vectors
        assert report.outcome == "replayed"
        return
    assert report.outcome == "failed"
    assert result.fault == ("crashed" if harm is kill else "hung")


@pytest.mark.slow
def test_what_lies_beyond_the_golden_vectors_shows_there_too(tmp_path: Path) -> None:
    arm = installed("arm64-2.1.0")
    for network, fault in ((hostile.LoopsOnLarge(), "hung"), (hostile.WrongOnLarge(), "differs")):
        path = make_hostile(network, tmp_path / "a.ptl")
        report = check(path, tmp_path, "parity", timeout=30.0, run_on=arm, examples=20)
        assert report.outcome == "failed"
        assert report.results[0].fault == fault
    honest = check(make_hostile(hostile.Mean(), tmp_path / "b.ptl"), tmp_path, run_on=arm)
    assert honest.outcome == "proven"


def installed(name: str) -> Any:
    if name == "host":
        return name
    try:
        return find_installed(name).runtime.name
    except DeviceUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("network", "name"),
    [(hostile.LoopsOnNan(), "nonfinite"), (hostile.RaisesOnLarge(), "determinism")],
    ids=["hangs", "raises"],
)
def test_pytest_fails_where_the_check_does(network: nn.Module, name: str, tmp_path: Path) -> None:
    path = make_hostile(network, tmp_path / "a.ptl")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}",
         "--artifact", str(path), "--artifact-reference", REFERENCE, "--artifact-timeout", "10",
         "-k", f"{name} or golden", str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout


def test_a_process_that_writes_nonsense_spoils_the_property(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_hostile(hostile.Mean(), tmp_path / "a.ptl")
    read = worker.read_frame

    def garbled(stream: Any, **options: Any) -> Any:
        header, tensors = read(stream, **options)
        if tensors:
            raise ValueError("a tensor of 2**70 bytes")
        return header, tensors

    monkeypatch.setattr(worker, "read_frame", garbled)
    assert check(path, tmp_path, "parity").outcome == "failed"


def test_exit_codes_tell_a_wrong_file_from_one_that_could_not_be_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = make_hostile(hostile.WrongEverywhere(), tmp_path / "wrong.ptl")
    good = make_hostile(hostile.Mean(), tmp_path / "good.ptl")
    fixed = ["--examples", "4", "--counterexamples", str(tmp_path / "found")]
    for words, code, text in (
        ([str(good), "-p", "parity", "--reference", REFERENCE], 0, "PROVEN on host"),
        ([str(wrong), "-p", "parity", "--reference", REFERENCE], 1, "FAILED on host: parity"),
        ([str(wrong), "-p", "golden"], 0, "REPLAYED, NOT PROVEN"),
        ([str(wrong), "-p", "golden", "--strict"], 1, "REPLAYED, NOT PROVEN"),
        ([str(good), "-p", "preprocessing"], 3, "NO VERDICT on host: nothing was checked"),
        (
            [str(good), "-p", "parity", "--reference", f"{hostile.__name__}:raises"],
            3,
            "the Python model raised ZeroDivisionError",
        ),
        ([str(good), "-p", "parity", "--min-agreement", "0.9"], 3, "parity (no-reference)"),
        ([str(tmp_path / "absent.ptl")], 2, "There is no file"),
    ):
        with pytest.raises(SystemExit) as caught:
            main([*words, *fixed])
        printed = capsys.readouterr()
        shown = " ".join((printed.out + printed.err).split())
        assert caught.value.code == code, shown
        assert text in shown


def test_a_backdoor_is_caught_as_often_as_is_stated(tmp_path: Path) -> None:
    """Wrong beyond 5: two of the seven kinds of contents drawn go there."""
    path = make_hostile(hostile.WrongOnLarge(), tmp_path / "a.ptl")
    caught = 0
    for seed in range(6):
        report = check(path, tmp_path, "parity", seed=seed, examples=12)
        caught += report.outcome == "failed"
    # (5 / 7) ** 12 = 1.8 % are missed.
    assert caught >= 5
    (minimal,) = {np.load(f)["input_0"].shape for f in (tmp_path / "found").glob("*.npz")}
    assert minimal == (1, 3, 8, 8)
