"""Read what a lite-interpreter file's bytecode asks of a runtime, without unpickling it.

Format: torch/csrc/jit/mobile/import.cpp (`(version, (function, tables[, schema]), ...)`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ..errors import UnreadableArtifact
from .limits import MAX_BYTECODE_VERSION, MAX_NAME, MAX_TEXT
from .pickles import Node, read_tree


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


# What the tables of a function are called, in the order in which runtimes look for them.
_TABLES = ("instructions", "operators", "constants", "types", "register_size")
_MAX_ARGUMENTS = 10_000
# A pickle may name one table in many functions, so that little data means much work; torch's own
# have no more rows than the pickle has opcodes.
_MAX_ROWS = 1_000_000


class _Reader:
    """Reads functions, and counts the rows it has looked at."""

    def __init__(self) -> None:
        self._rows = 0
        self.operators: dict[Operator, None] = {}
        self.calls: Counter[str] = Counter()

    def _of(self, node: Any) -> list[Any]:
        """Return the parts of a tuple or list."""
        if not isinstance(node, Node) or node.kind not in ("tuple", "list"):
            raise TypeError("not a table")
        self._rows += len(node)
        if self._rows > _MAX_ROWS:
            raise ValueError("too many rows")
        return node.parts

    def _operators(self, table: Any) -> list[Operator]:
        found = []
        for row in self._of(table):
            name, overload, *rest = self._of(row)
            arguments = None
            if rest and rest[0] is not None:
                arguments = _whole(rest[0], _MAX_ARGUMENTS)
            found.append(Operator(_text(name, MAX_NAME), _text(overload, MAX_NAME), arguments))
        return found

    def function(self, node: Any) -> None:
        """Add one function: its name, and pairs of a table's name and its rows."""
        name, body, *_ = self._of(node)
        _text(name)
        pairs = [self._of(pair) for pair in self._of(body)]
        if tuple(_text(key) for key, _ in pairs) != _TABLES:
            raise ValueError("other tables than torch writes")
        tables = dict(pairs)
        operators = self._operators(tables["operators"])
        self.operators.update(dict.fromkeys(operators))
        for kind in self._of(tables["types"]):
            _text(kind)
        names = [operator.full_name for operator in operators]
        for instruction in self._of(tables["instructions"]):
            code, index, *_ = self._of(instruction)
            if code in ("OP", "OPN"):
                self.calls[names[_whole(index, len(names) - 1)]] += 1


def _text(value: Any, most: int = MAX_TEXT) -> str:
    # Printing a damaged file's shared, nested tuples could take forever.
    if not isinstance(value, str) or len(value) > most:
        raise TypeError("a name is not text")
    return value


def _whole(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise TypeError("not a small whole number")
    return value


def parse_bytecode(data: bytes) -> Bytecode:
    """Read the contents of `bytecode.pkl`; raise `UnreadableArtifact` when it is none."""
    root = read_tree(data)
    reader = _Reader()
    try:
        version = _whole(root[0], MAX_BYTECODE_VERSION)
        for function in root[1:]:
            reader.function(function)
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise UnreadableArtifact(
            "bytecode.pkl does not hold lite-interpreter functions."
        ) from error
    return Bytecode(
        version=version,
        operators=tuple(sorted(reader.operators, key=lambda op: (op.full_name, op.arguments or 0))),
        calls=dict(sorted(reader.calls.items())),
    )
