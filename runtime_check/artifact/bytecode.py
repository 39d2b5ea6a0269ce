"""Read what a lite-interpreter file's bytecode asks of a runtime, without unpickling it.

Format: torch/csrc/jit/mobile/import.cpp (`(version, (function, tables[, schema]), ...)`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import UnreadableArtifact
from .pickles import read_tree


@dataclass(frozen=True)
class Operator:
    """One entry of a function's operator table."""

    name: str
    overload: str
    arguments: int | None  # how many the call site passes; None before bytecode version 6

    @property
    def full_name(self) -> str:
        """`name.overload`, or the bare name where there is no overload."""
        return f"{self.name}.{self.overload}" if self.overload else self.name


@dataclass(frozen=True)
class Bytecode:
    """What the file asks of a runtime."""

    version: int
    operators: tuple[Operator, ...]
    calls: dict[str, int]  # full operator name -> call sites in the bytecode


def _text(value: Any) -> str:
    # Printing a damaged file's shared, nested tuples could take forever.
    if not isinstance(value, str):
        raise TypeError("a name is not text")
    return value


def _tables(body: Any) -> dict[str, Any]:
    return {_text(key): value for key, value in body}


def _read_operators(rows: Any) -> Iterator[Operator]:
    for row in rows:
        arguments = int(row[2]) if len(row) > 2 and row[2] is not None else None
        yield Operator(_text(row[0]), _text(row[1]), arguments)


def parse_bytecode(data: bytes) -> Bytecode:
    """Read the contents of `bytecode.pkl`; raise `UnreadableArtifact` when it is none."""
    root = read_tree(data)
    try:
        version = int(root[0])
        seen: dict[Operator, None] = {}
        calls: Counter[str] = Counter()
        for function in root[1:]:
            _text(function[0])
            tables = _tables(function[1])
            operators = list(_read_operators(tables["operators"]))
            seen.update(dict.fromkeys(operators))
            for name in tables.get("types", ()):
                _text(name)
            for instruction in tables["instructions"]:
                if instruction[0] in ("OP", "OPN"):
                    calls[operators[int(instruction[1])].full_name] += 1
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise UnreadableArtifact(
            "bytecode.pkl does not hold lite-interpreter functions."
        ) from error
    return Bytecode(
        version=version,
        operators=tuple(sorted(seen, key=lambda op: (op.full_name, op.arguments or 0))),
        calls=dict(sorted(calls.items())),
    )
