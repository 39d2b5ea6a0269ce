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
from runtime_check.runtimes.run import ChildDied

from . import hostile
from .hostile import make_hostile

REFERENCE = f"{hostile.__name__}:mean"


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


# The properties that run the file in the check's own process.
RUN = ("golden", "metadata", "parity", "determinism", "batch", "nonfinite")
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
        return forward(self, *arguments, **options)

    monkeypatch.setattr(HostSession, "forward", harmed)
    report = check(path, tmp_path, name, timeout=8.0)
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
        return forward(self, *arguments, **options)

    monkeypatch.setattr(DeviceSession, "forward", harmed)
    report = check(path, tmp_path, name, timeout=8.0, run_on=arm, examples=3)
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
        report = check(path, tmp_path, "parity", timeout=8.0, run_on=arm, examples=20)
        assert report.outcome == "failed"
        assert report.results[0].fault == fault
    honest = check(make_hostile(hostile.Mean(), tmp_path / "b.ptl"), tmp_path, run_on=arm)
    assert honest.outcome == "proven"


# --- while it is loaded: the first time, and again after a death -------------------------------

ON_HOST = "host"
HARMS = ("crashed", "hung", "nonsense")
EMULATED = "arm64-2.1.0"
SESSIONS: dict[str, Any] = {ON_HOST: HostSession, EMULATED: DeviceSession}
PLACES = (ON_HOST, pytest.param(EMULATED, marks=pytest.mark.slow))
# Seconds for one answer; starting under emulation is one, too.
PATIENCE = {ON_HOST: 8.0, EMULATED: 40.0}


def harm_loads(
    monkeypatch: pytest.MonkeyPatch, run_on: str, harm: str, loads: Callable[[int], bool]
) -> None:
    """Kill, stop or garble the real child in those of its loads, counted from 0."""
    session = SESSIONS[run_on]
    load, read = session.load, worker.read_frame
    raving = False
    count = 0

    def harmed(self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal count, raving
        count += 1
        if not loads(count - 1):
            return load(self, *arguments, **options)
        if harm != "nonsense":
            (kill if harm == "crashed" else freeze)(self._worker.process.pid)
        raving = harm == "nonsense"
        try:
            return load(self, *arguments, **options)
        finally:
            raving = False

    def garbled(stream: Any, **options: Any) -> Any:
        header, tensors = read(stream, **options)
        return ({**header, "seconds": "soon"}, tensors) if raving else (header, tensors)

    monkeypatch.setattr(session, "load", harmed)
    monkeypatch.setattr(worker, "read_frame", garbled)


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("run_on", PLACES)
def test_a_process_harmed_while_it_loads_gives_no_verdict_that_passes(
    run_on: str,
    harm: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runtime = installed(run_on)
    path = make_hostile(hostile.Mean(), tmp_path / "a.ptl")
    harm_loads(monkeypatch, run_on, harm, lambda load: True)
    with pytest.raises(ChildDied, match="loading") as caught:
        check(path, tmp_path, timeout=PATIENCE[run_on], run_on=runtime)
    assert caught.value.cause == harm
    if run_on != ON_HOST:
        return
    with pytest.raises(SystemExit) as ended:
        main([str(path), "--run-on", runtime, "--reference", REFERENCE, "--timeout", "8"])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert "loading" in printed.err
    assert "PROVEN" not in printed.out


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", RUN)
def test_nor_does_one_harmed_while_it_loads_again(
    name: PropertyName, harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its second answer kills it, and what would answer after it never comes up."""
    path = make_hostile(hostile.Mean(), tmp_path / "a.ptl")
    asked = 0
    forward = HostSession.forward

    def harmed(self: HostSession, *arguments: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 2:
            kill(self._worker.process.pid)
        return forward(self, *arguments, **options)

    monkeypatch.setattr(HostSession, "forward", harmed)
    harm_loads(monkeypatch, ON_HOST, harm, lambda load: load > 0)
    report = check(path, tmp_path, name, timeout=8.0)
    assert report.outcome == "failed", report.results


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("load", [1, 2])
def test_nor_one_of_the_environments_in_which_it_is_loaded_elsewhere(
    load: int, harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_hostile(hostile.Mean(), tmp_path / "a.ptl")
    harm_loads(monkeypatch, ON_HOST, harm, lambda number: number == load)
    report = check(path, tmp_path, "load-anywhere", timeout=8.0)
    assert report.outcome == "failed", report.results
    assert report.results[0].fault == harm


@pytest.mark.parametrize("run_on", PLACES)
@pytest.mark.parametrize(
    ("network", "says"),
    [
        (hostile.LoopsOnLoad(), "still loading after"),
        (hostile.AllocatesOnLoad(), "more memory than it may have|out of memory while loading"),
    ],
    ids=["loops", "allocates"],
)
def test_a_file_that_misbehaves_while_it_loads_is_refused(
    network: nn.Module, says: str, run_on: str, tmp_path: Path
) -> None:
    path = make_hostile(network, tmp_path / "a.ptl")
    timeout = PATIENCE[run_on] if "still" in says else 60.0
    with pytest.raises(runtime_check.RuntimeCheckError, match=says) as caught:
        check(path, tmp_path, timeout=timeout, memory=2**29, run_on=installed(run_on))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("run_on", PLACES)
@pytest.mark.parametrize("piece", [1 << 24, 1 << 12], ids=["64 MiB", "16 KiB"])
def test_a_file_that_takes_more_memory_than_it_may_fails_by_name(
    piece: int, run_on: str, tmp_path: Path
) -> None:
    """In large pieces torch is refused one; in small ones it may be qemu itself."""
    path = make_hostile(hostile.HoardsOnLarge(piece), tmp_path / "a.ptl")
    report = check(
        path, tmp_path, "parity", timeout=60.0, memory=2**29, examples=20, run_on=installed(run_on)
    )
    assert report.outcome == "failed", report.results
    (result,) = report.results
    assert result.fault in ("memory", "raised")
    assert "memory" in result.reason
    assert "--memory" in result.reason


def installed(name: str) -> Any:
    if name == ON_HOST:
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


# What a test suite's own `conftest.py` would have to do to harm the child of `--artifact`.
HARMED = """
import os, signal
from runtime_check.runtimes import worker
from runtime_check.runtimes.host import HostSession
load, read = HostSession.load, worker.read_frame

def harmed(self, *arguments, **options):
    if "{harm}" != "nonsense":
        number = signal.SIGSEGV if "{harm}" == "crashed" else signal.SIGSTOP
        os.kill(self._worker.process.pid, number)
    return load(self, *arguments, **options)

def garbled(stream, **options):
    header, tensors = read(stream, **options)
    return ({{}}, tensors) if "{harm}" == "nonsense" else (header, tensors)

HostSession.load, worker.read_frame = harmed, garbled
"""


@pytest.mark.parametrize("harm", HARMS)
def test_pytest_passes_nothing_of_a_file_whose_process_was_harmed_while_it_loaded(
    harm: str, tmp_path: Path
) -> None:
    path = make_hostile(hostile.Mean(), tmp_path / "a.ptl")
    (tmp_path / "conftest.py").write_text(HARMED.format(harm=harm), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}",
         "--artifact", str(path), "--artifact-reference", REFERENCE, "--artifact-timeout", "8",
         str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "8 failed" in done.stdout
    assert " passed" not in done.stdout
    assert "loading" in done.stdout


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
