"""Read a lite-interpreter file's bytecode as inert data.

`bytecode.pkl` is a pickle, and a pickle from elsewhere is a program. `pickletools.genops` only
splits it into opcodes; the small machine below runs the handful that torch's writer emits and
builds tuples, strings and numbers out of them. Globals become names, persistent ids become
text: nothing is imported, called or constructed.

Format: torch/csrc/jit/mobile/import.cpp (`(version, (function, tables[, schema]), ...)`).
"""

from __future__ import annotations

import pickletools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .errors import UnreadableArtifact

_MARK = object()
# torch writes at most a few thousand opcodes an operator; a file with more is not one of its.
_MAX_OPCODES = 5_000_000
_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
)


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
    types: tuple[str, ...]
    functions: tuple[str, ...]


@dataclass(frozen=True)
class Name:
    """A global, a persistent id or a call, as text and parts only."""

    text: str
    parts: tuple[Any, ...] = ()


def _pop_mark(stack: list[Any]) -> list[Any]:
    for index in range(len(stack) - 1, -1, -1):
        if stack[index] is _MARK:
            items = stack[index + 1 :]
            del stack[index:]
            return items
    raise UnreadableArtifact("bytecode.pkl is damaged (a tuple without a start).")


def read_inert(data: bytes) -> Any:
    """Evaluate the data opcodes of a protocol-2 pickle; raise `UnreadableArtifact` on others."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        arg: Any
        for count, (opcode, arg, _) in enumerate(pickletools.genops(data)):
            if count > _MAX_OPCODES:
                raise UnreadableArtifact("a pickle in the file is implausibly long.")
            name = opcode.name
            if name == "STOP":
                return stack.pop()
            if name in ("PROTO", "FRAME"):
                continue
            if name == "MARK":
                stack.append(_MARK)
            elif name in _LITERALS:
                stack.append(arg)
            elif name in ("NONE", "NEWTRUE", "NEWFALSE"):
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            elif name == "EMPTY_TUPLE":
                stack.append(())
            elif name in ("EMPTY_LIST", "EMPTY_DICT"):
                stack.append([])  # a list: the memo may hold it before it is filled
            elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
                size = int(name[-1])
                items = tuple(stack[-size:])
                if len(items) != size:
                    raise IndexError
                del stack[-size:]
                stack.append(items)
            elif name in ("TUPLE", "LIST", "DICT"):
                stack.append(tuple(_pop_mark(stack)))
            elif name in ("APPENDS", "SETITEMS"):
                items = tuple(_pop_mark(stack))
                stack[-1].extend(items)
            elif name == "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            elif name == "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1].extend((key, value))
            elif name in ("BINPUT", "LONG_BINPUT"):
                memo[int(arg)] = stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                stack.append(memo[int(arg)])
            elif name == "GLOBAL":
                stack.append(Name(str(arg)))
            elif name == "BINPERSID":
                stack.append(Name("storage", (stack.pop(),)))
            elif name in ("REDUCE", "NEWOBJ", "BUILD"):
                argument, target = stack.pop(), stack.pop()
                text = target.text if isinstance(target, Name) else "?"
                stack.append(Name(text, (argument,)))
            else:
                raise UnreadableArtifact(f"a pickle in the file uses the opcode {name}.")
    except UnreadableArtifact:
        raise
    except Exception as error:
        raise UnreadableArtifact(f"a pickle in the file is damaged ({error}).") from error
    raise UnreadableArtifact("a pickle in the file ends early.")


def _tables(body: Any) -> dict[str, Any]:
    return {str(key): value for key, value in body}


def _read_operators(rows: Any) -> Iterator[Operator]:
    for row in rows:
        arguments = int(row[2]) if len(row) > 2 and row[2] is not None else None
        yield Operator(str(row[0]), str(row[1]), arguments)


def parse_bytecode(data: bytes) -> Bytecode:
    """Read the contents of `bytecode.pkl`; raise `UnreadableArtifact` when it is none."""
    root = read_inert(data)
    try:
        version = int(root[0])
        seen: dict[Operator, None] = {}
        calls: Counter[str] = Counter()
        types: dict[str, None] = {}
        functions = []
        for function in root[1:]:
            functions.append(str(function[0]))
            tables = _tables(function[1])
            operators = list(_read_operators(tables["operators"]))
            seen.update(dict.fromkeys(operators))
            types.update(dict.fromkeys(str(text) for text in tables.get("types", ())))
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
        types=tuple(types),
        functions=tuple(functions),
    )
