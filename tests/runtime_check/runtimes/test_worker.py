"""A child that answers, dies or hangs: each is told from the others by value."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runtime_check.runtimes.frames import write_frame
from runtime_check.runtimes.worker import NoAnswer, ask, start_worker

ANSWER = """
import sys
from runtime_check.runtimes.frames import read_frame, write_frame
header, tensors = read_frame(sys.stdin.buffer)
write_frame(sys.stdout.buffer, {"got": header["number"]}, tensors)
"""


@contextmanager
def child(code: str) -> Iterator[subprocess.Popen[bytes]]:
    with (
        tempfile.TemporaryFile() as errors,
        start_worker(
            [sys.executable, "-c", code], environment=os.environ, errors=errors
        ) as process,
    ):
        yield process


def test_an_answer() -> None:
    with child(ANSWER) as process:
        header, tensors = ask(
            process, lambda stdin: write_frame(stdin, {"number": 7}, []), timeout=60
        )
    assert header == {"got": 7}
    assert tensors == []
    assert process.poll() is not None, "the child is gone with its block"


@pytest.mark.parametrize(
    ("code", "death"),
    [("raise SystemExit(3)", "exit code 3"), ("import os; os.abort()", "signal 6")],
)
def test_a_child_that_dies(code: str, death: str) -> None:
    with child(code) as process, pytest.raises(NoAnswer) as caught:
        ask(process, lambda stdin: None, timeout=60)
    assert not caught.value.expired
    assert caught.value.death == death


def test_a_child_that_hangs_is_killed() -> None:
    with child("import time; time.sleep(600)") as process, pytest.raises(NoAnswer) as caught:
        ask(process, lambda stdin: None, timeout=0.5)
    assert caught.value.expired
    assert process.poll() is not None
