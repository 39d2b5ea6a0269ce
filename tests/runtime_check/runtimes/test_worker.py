"""A child that answers, dies or hangs: each is told from the others by value."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runtime_check.runtimes.answers import Answer
from runtime_check.runtimes.frames import write_frame
from runtime_check.runtimes.run import Cause
from runtime_check.runtimes.worker import NoAnswer, Worker, ask, start_worker

ANSWER = """
import sys
from runtime_check.runtimes.frames import read_frame, write_frame
header, tensors = read_frame(sys.stdin.buffer)
write_frame(sys.stdout.buffer, {"got": header["number"]}, tensors)
"""


@contextmanager
def child(code: str) -> Iterator[Worker]:
    with start_worker([sys.executable, "-c", code], environment=os.environ) as worker:
        yield worker


def number(answer: Answer) -> float:
    return answer.number("got")


def died(code: str, timeout: float = 60) -> NoAnswer:
    """Ask a child that will not answer."""
    with child(code) as worker, pytest.raises(NoAnswer) as caught:
        ask(worker, lambda stdin: None, number, timeout=timeout)
    assert worker.process.poll() is not None, "it is gone before anyone hears of it"
    return caught.value


def test_an_answer() -> None:
    with child(ANSWER) as worker:
        got = ask(worker, lambda stdin: write_frame(stdin, {"number": 7}, []), number, timeout=60)
    assert got == 7
    assert worker.process.poll() is not None, "the child is gone with its block"


@pytest.mark.parametrize(
    ("code", "cause", "death"),
    [
        ("raise SystemExit(3)", "crashed", "exit code 3"),
        ("import os; os.abort()", "crashed", "signal 6"),
        ("import os; os.kill(os.getpid(), 9)", "memory", "the system killed it"),
        ("import sys, os; print('what():  std::bad_alloc', file=sys.stderr); os.abort()",
         "memory", "ran out of memory; its last output: what():  std::bad_alloc"),
        ("import sys; sys.exit('first\\nlast \\x1b[2J')", "crashed", "last output: last \\x1b[2J"),
        ("print('hello'); import time; time.sleep(600)", "nonsense", "a header of"),
        ("import os; os.close(1); import time; time.sleep(600)", "nonsense", "closed its pipe"),
        ("print('{}', end='')", "crashed", "exit code 0"),
    ],
)  # fmt: skip
def test_a_child_that_dies(code: str, cause: str, death: str) -> None:
    gone = died(f"import sys; sys.stdout.reconfigure(line_buffering=True)\n{code}")
    assert gone.cause == cause
    assert death in gone.death


@pytest.mark.parametrize(
    "said",
    [
        "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to ...",
        "mmap: Cannot allocate memory",
        "OpenBLAS : Memory allocation still failed after 10 retries, giving up.",
        # qemu 7.2 and GLib of an emulated runtime
        "(process:7): GLib-ERROR **: 10:00:00.000: ../glib/gmem.c:136: failed to allocate 66 bytes",
        "qemu_memalign: failed to allocate 4096 bytes at alignment 64: Cannot allocate memory",
        "qemu-aarch64: Unable to allocate 0x10000 bytes of virtual address space",
        "qemu-aarch64: Unable to reserve 0xffff bytes of virtual address space at 0x7f (Success)",
        "Could not allocate dynamic translator buffer",
    ],
)
def test_what_says_that_memory_ran_out_is_recognized(said: str) -> None:
    gone = died(f"import os, sys; sys.stderr.write({said!r}); sys.stderr.flush(); os.abort()")
    assert gone.cause == "memory"
    assert said[:50] in gone.death


@pytest.mark.parametrize("fields", ["", "got='7'", "got=-1", "got=[7]"])
def test_an_answer_whose_fields_are_wrong_is_nonsense(fields: str) -> None:
    code = (
        "import sys; from runtime_check.runtimes.frames import write_frame\n"
        f"write_frame(sys.stdout.buffer, dict({fields}), [])\nimport time; time.sleep(600)"
    )
    gone = died(code)
    assert gone.cause == "nonsense"
    assert "'got'" in gone.death


def test_a_child_that_hangs_is_killed() -> None:
    assert died("import time; time.sleep(600)", timeout=0.5).cause == "hung"


def test_a_child_that_is_busy_is_not_waited_for_after_an_error() -> None:
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), child("import time; time.sleep(600)"):
        raise KeyboardInterrupt
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("cause", "words"),
    [("hung", "still running after 2 s"), ("memory", "out of memory while running"),
     ("nonsense", "did not give an answer"), ("crashed", "crashed while running it (signal 11)")],
)  # fmt: skip
def test_each_death_is_a_sentence(cause: Cause, words: str) -> None:
    error = NoAnswer(cause=cause, death="signal 11").told("a.ptl", "torch", "running", 2.0)
    assert error.cause == cause
    assert str(error).startswith("a.ptl: ")
    assert words in str(error)
