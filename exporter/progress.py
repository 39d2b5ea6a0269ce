"""How long each step of an export takes, and who is told how far a long one is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# listener(what, done, total): how far a long step is; total is 0 where it is unknown.
Listener = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Step:
    """How long one step of the pipeline took, wall seconds."""

    name: str
    seconds: float


class Clock:
    """Time the steps and tell a listener about them."""

    def __init__(self, on_step: Callable[[str], None] | None) -> None:
        self.steps: list[Step] = []
        self._on_step = on_step

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what happens inside under `name`."""
        if self._on_step is not None:
            self._on_step(name)
        started = time.perf_counter()
        try:
            yield
        finally:
            self.steps.append(Step(name=name, seconds=round(time.perf_counter() - started, 4)))


def silent(what: str, done: int, total: int) -> None:
    """Listen and say nothing."""
