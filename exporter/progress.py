"""How long each step of an export takes, and a listener for those that take long."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

# listener(what, done, total): how far a long step is; total is 0 where it is unknown.
Listener = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Step:
    """How long one step of the pipeline took, wall seconds."""

    name: str
    seconds: float


class Clock:
    """Time the steps and tell a listener their names; one step ends where the next starts."""

    def __init__(self, on_step: Callable[[str], None] | None = None) -> None:
        self._on_step = on_step
        self._done: list[Step] = []
        self._name = ""
        self._started = 0.0

    def start(self, name: str) -> None:
        """End the running step and start the step `name`."""
        self._done = self.steps
        if self._on_step is not None:
            self._on_step(name)
        self._name, self._started = name, time.perf_counter()

    @property
    def steps(self) -> list[Step]:
        """The steps so far, the running one included, in wall seconds."""
        if not self._name:
            return []
        running = Step(name=self._name, seconds=round(time.perf_counter() - self._started, 4))
        return [*self._done, running]


def silent(what: str, done: int, total: int) -> None:
    """Listen and say nothing."""
