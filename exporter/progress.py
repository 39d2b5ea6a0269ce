"""How long each step of an export takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .report.report import Step


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
