"""What a child says about itself, read as if a hostile file had written it.

A child that loaded one may answer anything. Each field is asked for by the type it must have, and
`ValueError` says that it is not: `worker.ask` then takes the child for one that talks nonsense.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..printable import printable

# Longer than any message of torch that helps, short enough to search and to show.
MAX_TEXT = 100_000


@dataclass(frozen=True)
class Answer:
    """The fields of one answer, none of them believed yet, and its tensors."""

    fields: dict[str, Any]
    tensors: list[np.ndarray]

    def flag(self, name: str) -> bool:
        """Return a field that is true or false."""
        value = self.fields.get(name)
        if not isinstance(value, bool):
            raise ValueError(f"{name!r} is not true or false")
        return value

    def number(self, name: str) -> float:
        """Return a field that is a finite number, not below 0."""
        return _number(name, self.fields.get(name))

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        """Return a field that is a list of `count` such numbers."""
        values = self.fields.get(name)
        if not isinstance(values, list) or len(values) != count:
            raise ValueError(f"{name!r} is not a list of {count} numbers")
        return tuple(_number(name, value) for value in values)

    def text(self, name: str) -> str:
        """Return a field that is text, shortened and `printable`."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise ValueError(f"{name!r} is no text")
        return printable(value[:MAX_TEXT], lines=True)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**63:
        raise ValueError(f"{name!r} is not a number from 0 up")  # NaN is not either
    return float(value)
