"""A pool of processes that starts no more than fit in memory, and leaves none behind."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_PAUSE = 0.05  # seconds between two looks
_PATIENCE = 20.0  # seconds that a process has to clean up after itself
_MOST_SAID = 4000  # bytes of stderr


@dataclass(frozen=True, kw_only=True)
class Task:
    """A command, and the bytes of memory that it takes; None is unknown: it then runs alone."""

    command: Sequence[str]
    memory: int | None
    cwd: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a process returned (negative: the signal that killed it) and printed."""

    code: int
    out: str
    errors: str


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    out: IO[bytes]
    errors: IO[bytes]
    memory: int

    def ended(self) -> Ended | None:
        code = self.process.poll()
        if code is None:
            return None
        texts = []
        for stream in (self.out, self.errors):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
        self.close()
        return Ended(code=code, out=texts[0], errors=texts[1][-_MOST_SAID:])

    def close(self) -> None:
        for stream in (self.process.stdin, self.out, self.errors):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


@dataclass
class _Pool:
    most: int
    memory: int
    environment: Mapping[str, str]
    running: dict[int, _Running] = field(default_factory=dict)

    def fits(self, task: Task) -> bool:
        """Whether a task may start now; one alone always may."""
        if not self.running:
            return True
        taken = sum(each.memory for each in self.running.values())
        return len(self.running) < self.most and taken + self.share(task) <= self.memory

    def share(self, task: Task) -> int:
        return self.memory if task.memory is None else task.memory

    def start(self, index: int, task: Task) -> None:
        out, errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  `close` does
        process = subprocess.Popen(
            task.command,
            stdin=subprocess.PIPE,  # closed when this process ends, however that is
            stdout=out,
            stderr=errors,
            cwd=task.cwd,
            env={**os.environ, **self.environment},
            start_new_session=True,  # Ctrl-C is for this process, which tells its children
        )
        self.running[index] = _Running(process, out, errors, self.share(task))

    def stop(self) -> None:
        """Ask all to end, wait until they cleaned up, and kill those that do not."""
        for each in self.running.values():
            each.process.terminate()
        until = time.monotonic() + _PATIENCE
        for each in self.running.values():
            try:
                each.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                each.process.kill()
                each.process.wait()
            each.close()
        self.running.clear()


def run_tasks(
    tasks: Sequence[Task],
    *,
    most: int,
    memory: int,
    environment: Mapping[str, str],
    on_end: Callable[[int, Ended], None],
) -> None:
    """Run all `tasks`, at most `most` at a time and as many as fit in `memory` bytes.

    The first that fits is the next; `on_end(index, ended)` is called for each as it ends. Whatever
    is raised, Ctrl-C included, no process is left.
    """
    pool = _Pool(most, memory, environment)
    waiting = dict(enumerate(tasks))
    try:
        while waiting or pool.running:
            for index, task in [*waiting.items()]:
                if pool.fits(task):
                    pool.start(index, task)
                    del waiting[index]
            for index, running in [*pool.running.items()]:
                ended = running.ended()
                if ended is not None:
                    del pool.running[index]
                    on_end(index, ended)
                    break
            else:
                time.sleep(_PAUSE)
    finally:
        pool.stop()


def at_once(tasks: Sequence[Task], *, most: int, memory: int) -> int:
    """Return how many of `tasks` would run at a time at first."""
    pool, count, taken = _Pool(most, memory, {}), 0, 0
    for task in tasks:
        share = pool.share(task)
        if count and (count >= most or taken + share > memory):
            continue
        count, taken = count + 1, taken + share
    return count
