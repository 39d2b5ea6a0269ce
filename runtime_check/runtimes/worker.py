"""A child process that answers frames on its stdout, one question at a time, each under a limit.

What loads untrusted files runs in one: this machine's torch (`host`), and the device runtimes.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

import numpy as np

from .frames import read_frame

_LAST_SECONDS = 5  # from closing its stdin to killing it


class NoAnswer(Exception):
    """The child gave no frame back: it ran past the limit (`expired`), or died of `death`."""

    def __init__(self, *, expired: bool, death: str) -> None:
        super().__init__(death)
        self.expired = expired
        self.death = death


def ask(
    process: subprocess.Popen[bytes], send: Callable[[IO[bytes]], None], *, timeout: float
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Let `send` write a question to the child's stdin and return the frame it answers.

    `timeout` is in seconds; past it the child is killed. Raises `NoAnswer`; the child is gone then.
    """
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
        return read_frame(process.stdout)
    except (EOFError, OSError, ValueError) as error:
        process.kill()
        code = process.wait()
        death = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise NoAnswer(expired=expired.is_set(), death=death) from error
    finally:
        timer.cancel()


@contextmanager
def start_worker(
    command: Sequence[str], *, environment: Mapping[str, str], errors: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` with pipes; its stderr goes to `errors`. It ends when its stdin closes."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
    )
    try:
        yield process
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # a child that is gone already was reported by `ask`
                    pipe.close()
        try:
            process.wait(timeout=_LAST_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
