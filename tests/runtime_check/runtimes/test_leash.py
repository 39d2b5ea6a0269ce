"""However a process ends, what it started is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import torch

from runtime_check.runtimes import leash
from runtime_check.runtimes.frames import write_frame
from runtime_check.runtimes.lite import write_lite
from runtime_check.runtimes.worker import NoAnswer, Worker, ask, start_worker

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="signals of POSIX")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's own way")

SLEEPER = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(600)"


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie that nobody has waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    shown = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return bool(shown.strip()) and not shown.startswith("Z")


def ends_within(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not runs(pid):
            return True
        time.sleep(0.05)
    return False


def child_of(parent: subprocess.Popen[str]) -> int:
    """Read the number of the child that a parent prints."""
    assert parent.stdout is not None
    return int(parent.stdout.readline())


def parent(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


STARTS = """
import os, sys, tempfile, time
from runtime_check.runtimes import leash
with tempfile.TemporaryFile() as errors:
    made = getattr(leash, sys.argv[1])([sys.executable, "-c", sys.argv[2]], os.environ, errors)
    process = made if sys.argv[1] == "start_leashed" else made[0]
    print(process.stdout.readline().decode(), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("way", [pytest.param("start_leashed", marks=linux), "start_watched"])
def test_a_child_is_gone_when_its_parent_is_killed(way: str, ending: signal.Signals) -> None:
    with parent(STARTS, way, SLEEPER) as killed:
        pid = child_of(killed)
        assert runs(pid)
        killed.send_signal(ending)
        killed.wait()
        assert ends_within(pid, 2)


class Endless(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while bool(x.sum() > -1e30):
            x = x * 1.0
        return x


HANGS = """
import sys
import numpy as np
from runtime_check.runtimes.host import open_host
with open_host(sys.argv[1], timeout=float(sys.argv[2])) as session:
    print(session._worker.process.pid, flush=True)
    session.forward([np.zeros(3, np.float32)])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "timeout", "within"),
    [
        (signal.SIGKILL, 500.0, 2.0),
        # A parent that is stopped cannot stop its child: the child's own limit holds.
        (signal.SIGSTOP, 20.0, 30.0),
    ],
)
def test_a_file_that_hangs_does_not_outlive_the_check(
    ending: signal.Signals, timeout: float, within: float, tmp_path: Path
) -> None:
    path = tmp_path / "endless.ptl"
    write_lite(torch.jit.script(Endless()), path)
    with parent(HANGS, path, timeout) as harmed:
        pid = child_of(harmed)
        time.sleep(1)  # into `forward`
        assert runs(pid)
        harmed.send_signal(ending)
        assert ends_within(pid, within)
        harmed.kill()


DEVICE = """
import sys
from runtime_check.device.runner import open_runner
with open_runner(sys.argv[1], timeout=500) as session:
    print(session._worker.process.pid, flush=True)
    session.load(sys.argv[2])
"""


@linux
@pytest.mark.parametrize("runtime", ["host", "arm64-2.1.0"])
def test_a_device_runtime_does_not_outlive_the_check(runtime: str, tmp_path: Path) -> None:
    from runtime_check.device.errors import DeviceUnavailable
    from runtime_check.device.install import find_installed

    try:
        find_installed(runtime)
    except DeviceUnavailable as error:
        pytest.skip(str(error))
    pipe = tmp_path / "never.ptl"
    os.mkfifo(pipe)  # to load it is to wait for ever
    with parent(DEVICE, runtime, pipe) as killed:
        pid = child_of(killed)
        assert runs(pid)
        killed.kill()
        killed.wait()
        assert ends_within(pid, 2)


ANSWERS = """
import sys
from runtime_check.runtimes.frames import read_frame, write_frame
while True:
    header, tensors = read_frame(sys.stdin.buffer)
    write_frame(sys.stdout.buffer, {"ok": True}, tensors)
"""


def answers(worker: Worker) -> bool:
    return ask(worker, lambda s: write_frame(s, {}, []), lambda a: a.flag("ok"), timeout=30)


def test_a_child_outlives_the_thread_that_started_it() -> None:
    """Linux tells a child of the death of a thread, not of a process."""
    opened: list[Worker] = []
    block = start_worker([sys.executable, "-c", ANSWERS], environment=os.environ)

    def start() -> None:
        opened.append(block.__enter__())
        assert answers(opened[0])  # it is up, and on its leash

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    try:
        time.sleep(0.2)
        assert answers(opened[0])
    finally:
        block.__exit__(None, None, None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_starts_children_of_its_own() -> None:
    with start_worker([sys.executable, "-c", ANSWERS], environment=os.environ) as before:
        assert answers(before)
        code = (
            "import os, sys\n"
            "from runtime_check.runtimes.worker import start_worker, ask\n"
            "from tests.runtime_check.runtimes.test_leash import ANSWERS, answers\n"
            "def works():\n"
            "    with start_worker([sys.executable, '-c', ANSWERS], environment=os.environ) as w:\n"
            "        return answers(w)\n"
            "assert works()\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    os._exit(0 if works() else 1)\n"
            "_, status = os.waitpid(pid, 0)\n"
            "assert works()\n"
            "sys.exit(os.waitstatus_to_exitcode(status))\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
        assert answers(before)


@linux
def test_a_leash_whose_parent_is_gone_starts_nothing(tmp_path: Path) -> None:
    made = tmp_path / "made"
    command = [sys.executable, "-I", "-S", leash.__file__, "1", "touch", str(made)]
    subprocess.run(command, check=True, timeout=30)
    assert not made.exists()


@linux
def test_a_child_leaves_no_core_dump_and_no_endless_log() -> None:
    """Both by the command's own words, and what it meets when it writes on."""
    code = (
        "import resource as r, signal as s, sys; sys.stdout.write(f'{r.getrlimit(r.RLIMIT_CORE)} '"
        "f'{r.getrlimit(r.RLIMIT_FSIZE)[0]}')"
    )
    with tempfile.TemporaryFile() as errors:
        process = leash.start_leashed([sys.executable, "-c", code], os.environ, errors)
        out, _ = process.communicate(timeout=30)
        assert out == b"(0, 0) 268435456"
        endless = leash.start_leashed(["sh", "-c", "yes 1>&2"], os.environ, errors)
        assert endless.wait(timeout=60) != 0
        assert errors.seek(0, 2) <= 268435456


@linux
def test_a_command_that_is_not_there_is_said() -> None:
    with (
        start_worker(["/nowhere/at-all"], environment=os.environ) as worker,
        pytest.raises(NoAnswer, match="No such file"),
    ):
        answers(worker)


def test_the_way_of_other_systems_answers_and_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with start_worker([sys.executable, "-c", ANSWERS], environment=os.environ) as worker:
        assert answers(worker)
        assert worker.watcher is not None
        assert worker.watcher.poll() is None
    assert worker.process.returncode is not None
    assert worker.watcher.returncode is not None
    with start_worker([sys.executable, "-c", ""], environment=os.environ) as worker:
        with pytest.raises(NoAnswer, match="exit code 0"):
            answers(worker)
        assert worker.watcher is not None
        assert worker.watcher.returncode is not None, "it must not kill a number used anew"
