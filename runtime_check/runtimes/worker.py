"""A child process that answers frames on its stdout, one question at a time, each under a limit.

What loads untrusted files runs in one: this machine's torch (`host`), and the device runtimes.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TypeVar

from ..printable import printable
from .answers import Answer
from .frames import MAX_ANSWER_BYTES, read_frame
from .leash import start_leashed, start_watched
from .run import Cause, ChildDied

T = TypeVar("T")

_LAST_SECONDS = 5.0  # from closing its stdin to killing it
_ENDING_SECONDS = 1.0  # from the end of its answers to its own
# Of C++ and Python, torch, libc, OpenBLAS; the last three of qemu: GLib's, for the code that it
# translates, and for the address space of its guest.
_OUT_OF_MEMORY = re.compile(
    rb"bad_alloc|MemoryError|(?:can't|cannot) allocate memory|memory allocation still failed"
    rb"|failed to allocate|(?:could not|unable to) (?:allocate|reserve)|not enough memory",
    re.IGNORECASE,
)


class NoAnswer(Exception):
    """The child gave no answer, and is gone: `cause` says how in a word, `death` in words."""

    def __init__(self, *, cause: Cause, death: str) -> None:
        super().__init__(death)
        self.cause: Cause = cause
        self.death = death

    def told(self, file: str, runtime: str, doing: str, timeout: float) -> ChildDied:
        """Tell it for a person; `doing` is what the runtime was at, as in 'loading'."""
        if self.cause == "hung":
            text = (
                f"still {doing} after {timeout:g} s in {runtime}, so it was stopped. The file may "
                "be hostile, or the model larger than this limit allows (`--timeout` of "
                "`python -m runtime_check`)."
            )
        elif self.cause == "memory":
            text = (
                f"{runtime} was out of memory while {doing} it ({self.death}). The file may be "
                "hostile, or this machine or the limit (`--memory`) too small for the model."
            )
        elif self.cause == "nonsense":
            text = (
                f"{runtime} did not give an answer while {doing} it ({self.death}), so it was "
                "stopped. Treat the file as hostile."
            )
        else:
            text = (
                f"{runtime} crashed while {doing} it ({self.death}). The crash stayed in a child "
                "process; treat the file as damaged or hostile."
            )
        return ChildDied(f"{file}: {text}", cause=self.cause)


@dataclass(frozen=True)
class Worker:
    """A running child; `errors` is the file that takes its stderr."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    watcher: subprocess.Popen[bytes] | None = None

    def end(self, *, within: float = 0) -> int | None:
        """Wait for its end and return its exit code; None when it had to be killed."""
        if self.watcher is not None:
            self.watcher.kill()
            self.watcher.wait()
        try:
            return self.process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def last_output(self) -> bytes:
        """Return the end of what it wrote to stderr."""
        end = self.errors.seek(0, 2)
        self.errors.seek(max(0, end - 2000))
        return self.errors.read(2000)


def ask(
    worker: Worker,
    send: Callable[[IO[bytes]], None],
    read: Callable[[Answer], T],
    *,
    timeout: float,
) -> T:
    """Let `send` write a question to the child's stdin and return what `read` makes of the answer.

    `timeout` is in seconds; past it the child is killed. `read` raises `ValueError` for an answer
    that is none. Raises `NoAnswer`; the child is gone then.
    """
    process = worker.process
    assert process.stdin is not None
    assert process.stdout is not None
    expired = threading.Event()

    def stop() -> None:
        expired.set()
        process.kill()

    timer = threading.Timer(timeout, stop)
    timer.start()
    try:
        send(process.stdin)
        return read(Answer(*read_frame(process.stdout, most=MAX_ANSWER_BYTES)))
    except ValueError as error:
        worker.end()
        raise NoAnswer(cause="nonsense", death=f"it answered {error}") from error
    except (EOFError, OSError) as error:
        cause, death = _ended(worker)
        raise NoAnswer(cause="hung" if expired.is_set() else cause, death=death) from error
    finally:
        timer.cancel()


def _ended(worker: Worker) -> tuple[Cause, str]:
    """See how a child ended that closed its pipe."""
    code = worker.end(within=_ENDING_SECONDS)
    if code is None:
        return "nonsense", "it closed its pipe and went on"
    output = worker.last_output()
    lines = printable(output.decode("utf-8", "replace"), lines=True).strip().splitlines()
    last = f"; its last output: {lines[-1][:200]}" if lines else ""
    if code == -getattr(signal, "SIGKILL", 9):
        # Nobody else kills it: neither this process, which would know, nor itself.
        return "memory", "the system killed it, as it does when memory runs out"
    if _OUT_OF_MEMORY.search(output):
        return "memory", f"it ran out of memory{last}"
    return "crashed", (f"signal {-code}" if code < 0 else f"exit code {code}") + last


@contextmanager
def start_worker(command: Sequence[str], *, environment: Mapping[str, str]) -> Iterator[Worker]:
    """Run `command` with pipes; it ends when its stdin closes, and with this process."""
    with tempfile.TemporaryFile() as errors:
        if sys.platform.startswith("linux"):
            worker = Worker(start_leashed(command, environment, errors), errors)
        else:
            process, watcher = start_watched(command, environment, errors)
            worker = Worker(process, errors, watcher)
        patience = 0.0  # none with one that may be busy with what nobody waits for
        try:
            yield worker
            patience = _LAST_SECONDS
        finally:
            for pipe in (worker.process.stdin, worker.process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # a child that is gone was reported by `ask`
                        pipe.close()
            worker.end(within=patience)
