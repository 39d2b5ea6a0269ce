"""A child killed, stopped, raving or greedy while it loads never passes: first and again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import runtime_check
from runtime_check.cli import main
from runtime_check.device.runner import DeviceSession
from runtime_check.options import PropertyName
from runtime_check.runtimes import worker
from runtime_check.runtimes.host import HostSession
from runtime_check.runtimes.run import ChildDied

from . import hostile
from .hostile import make_hostile
from .test_hostile import REFERENCE, check, freeze, installed, kill

# The properties that run the file in the check's own process.
RUN = ("golden", "metadata", "parity", "determinism", "batch", "nonfinite")
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
