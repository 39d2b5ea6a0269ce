"""What running a file gives: a value, or an error with a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import RuntimeCheckError

# How a child ended: by a signal or on its own, at its time limit, out of memory, or with an answer
# that is none.
Cause = Literal["crashed", "hung", "memory", "nonsense"]


class ChildDied(RuntimeCheckError):
    """The process that ran the file is gone, and `cause` says how."""

    def __init__(self, message: str, *, cause: Cause) -> None:
        super().__init__(message)
        self.cause: Cause = cause


class OutOfTime(RuntimeCheckError):
    """All answers together took longer than they may: no verdict, the file may be only slow."""

    exit_code = 3


class ForwardError(RuntimeCheckError):
    """`forward` raised for this input."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one input gave: outputs in order, and wall seconds of each repeat.

    `peak_bytes` is the most memory the process has held so far; 0 where that is not measured.
    `instructions` are those of the last repeat, and `cache_misses` the lines of 64 bytes that the
    modeled cache did not hold; None where they were not asked for.
    """

    outputs: list[np.ndarray]
    seconds: tuple[float, ...]
    peak_bytes: int = 0
    instructions: int | None = None
    cache_misses: int | None = None
