"""The pool: limits of number and memory, and no process left behind."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from exporter.compare.pool import Ended, Task, at_once, run_tasks


def python(code: str, memory: int | None = 1) -> Task:
    return Task(command=(sys.executable, "-S", "-c", code), memory=memory)


def collect(tasks: list[Task], *, most: int = 2, memory: int = 100) -> dict[int, Ended]:
    ended: dict[int, Ended] = {}
    run_tasks(
        tasks, most=most, memory=memory, environment={"SAID": "hello"}, on_end=ended.__setitem__
    )
    return ended


def test_each_task_is_told_with_what_it_printed() -> None:
    ended = collect(
        [
            python("import os; print(os.environ['SAID'])"),
            python("import sys; sys.exit('no')"),
            python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
        ]
    )
    assert ended[0].code == 0
    assert ended[0].out.strip() == "hello"
    assert (ended[1].code, ended[1].errors.strip()) == (1, "no")
    assert ended[2].code == -9


# Notes when it began and ended.
SPAN = """
import sys, time
began = time.monotonic()
time.sleep(0.5)
print(began, time.monotonic())
"""


def most_together(ended: dict[int, Ended]) -> int:
    spans = [tuple(map(float, each.out.split())) for each in ended.values()]
    return max(sum(a <= start < b for a, b in spans) for start, _ in spans)


@pytest.mark.parametrize(
    ("most", "memories", "together"),
    [
        (3, [10, 10, 10], 3),
        (2, [10, 10, 10], 2),
        (3, [60, 60, 30], 2),  # 60 and 30 fit in 100
        (3, [None, None, 10], 1),  # of unknown size: alone
        (3, [500, 500, 500], 1),  # too large, and yet each has its turn
    ],
)
def test_no_more_than_fit(most: int, memories: list[int | None], together: int) -> None:
    tasks = [python(SPAN, memory) for memory in memories]
    assert at_once(tasks, most=most, memory=100) == together
    ended = collect(tasks, most=most)
    assert len(ended) == len(tasks)
    assert most_together(ended) == together


WAITS = """
import pathlib, signal, sys, time
def leave(*_):
    pathlib.Path(sys.argv[1], 'cleaned').touch()
    sys.exit(1)
signal.signal(signal.SIGTERM, leave)
pathlib.Path(sys.argv[1], 'waits').touch()
time.sleep(60)
"""


def test_what_stops_the_pool_ends_its_processes_in_order(tmp_path: Path) -> None:
    waits = Task(command=(sys.executable, "-S", "-c", WAITS, str(tmp_path)), memory=1)
    watch = f"import pathlib, time\nwhile not pathlib.Path({str(tmp_path)!r}, 'waits').exists(): "
    quick = python(f"{watch}time.sleep(0.01)")

    def stop(index: int, ended: Ended) -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_tasks([waits, quick], most=2, memory=100, environment={}, on_end=stop)
    assert time.monotonic() - started < 30
    assert (tmp_path / "cleaned").exists()
