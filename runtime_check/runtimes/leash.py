"""A child process never outlives its parent, however that one ends.

A file that hangs would else keep a core busy for ever once the check is killed. A thread inside the
child cannot see to it: torch holds Python's lock while a file runs, and a device runtime has no
Python. On Linux the kernel does it: this file, run as a program, asks for that and becomes the
command. Elsewhere a second process waits for the parent's end of a pipe to close.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import cache
from typing import IO

_PR_SET_PDEATHSIG = 1
# Of one file that a child writes: its stderr, or a profile. A file may print without end.
_MOST_WRITTEN = 2**28
# Waits for its stdin to close, which happens when the parent is gone, and kills the child.
_WATCH = "import os, sys; sys.stdin.buffer.read(); os.kill(int(sys.argv[1]), 9)"
_PYTHON = (sys.executable, "-I", "-S")  # a bare one starts in 15 ms


class _Spawner:
    """The thread that starts all children of this process, and lives as long as it.

    The kernel kills a child when the thread that started it ends, not the process.
    """

    def __init__(self) -> None:
        self._wanted: queue.SimpleQueue[
            tuple[Sequence[str], Mapping[str, str], IO[bytes], Future[subprocess.Popen[bytes]]]
        ] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="runtime_check-spawner", daemon=True).start()

    def _serve(self) -> None:
        while True:
            command, environment, errors, made = self._wanted.get()
            try:
                made.set_result(_popen(command, environment, errors))
            except Exception as error:  # noqa: BLE001  it is raised where it was asked for
                made.set_exception(error)

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], errors: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        made: Future[subprocess.Popen[bytes]] = Future()
        self._wanted.put((command, environment, errors, made))
        return made.result()


@cache
def _spawner(process: int) -> _Spawner:
    """Return the one of this process: a fork has none of its parent's threads."""
    return _Spawner()


def _popen(
    command: Sequence[str], environment: Mapping[str, str], errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
    )


def start_leashed(
    command: Sequence[str], environment: Mapping[str, str], errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a command with pipes that the kernel kills when this process ends; Linux alone."""
    leash = [*_PYTHON, __file__, str(os.getpid()), *command]
    return _spawner(os.getpid()).start(leash, environment, errors)


def start_watched(
    command: Sequence[str], environment: Mapping[str, str], errors: IO[bytes]
) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    """Start a command with pipes, and a watcher that kills it when this process ends.

    The watcher is to be killed before the child is waited for: later its number may be another's.
    """
    process = _popen(command, environment, errors)
    watcher = subprocess.Popen(
        [*_PYTHON, "-c", _WATCH, str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return process, watcher


def main(arguments: Sequence[str]) -> None:
    """Become a command that ends with its parent and leaves no core dump."""
    import ctypes
    import resource

    parent, *command = arguments
    # Where it is refused the child still ends with its stdin, or at its own time limit.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):
        return  # it was gone before the kernel knew
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    if most == resource.RLIM_INFINITY or most > _MOST_WRITTEN:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_WRITTEN, _MOST_WRITTEN))
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python; a command expects them
        signal.signal(ignored, signal.SIG_DFL)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
