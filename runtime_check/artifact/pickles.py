"""Read a pickle from elsewhere as inert data.

A pickle is a program. `pickletools.genops` only splits it into opcodes; the small machine below
runs the handful that torch's writer (torch/csrc/jit/serialization/pickler.cpp) emits, and builds a
tree of names, strings and numbers: nothing is imported, called or constructed.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import UnreadableArtifact

_MARK = object()
# The largest of timm's transformers has 30,000.
_MAX_OPCODES = 1_000_000
_ATOMS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
)
_LARGEST = 2**63  # torch's integers
_FIXED = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_TUPLE": "tuple", "EMPTY_LIST": "list", "EMPTY_DICT": "dict"}
_MARKED = {"TUPLE": "tuple", "LIST": "list", "DICT": "dict"}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(eq=False, repr=False, slots=True)
class Node:
    """A part of a pickle that is not a number or a string: a sequence of its parts.

    `kind` is `tuple`, `list`, `dict` (parts are keys and values in turn), `global` (`text` is its
    module and name), `storage` (a persistent id), or an opcode that calls: `REDUCE`, `NEWOBJ`,
    `BUILD` (parts are the target and its argument). What the pickle's memo shares is one node.
    """

    kind: str
    parts: list[Any] = field(default_factory=list)
    text: str = ""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.parts)

    def __getitem__(self, index: Any) -> Any:
        return self.parts[index]

    def __len__(self) -> int:
        return len(self.parts)


def _take(stack: list[Any], count: int) -> list[Any]:
    items = stack[len(stack) - count :]
    if len(items) != count or _MARK in items:
        raise IndexError("too few values")
    del stack[len(stack) - count :]
    return items


def _since_mark(stack: list[Any]) -> list[Any]:
    for index in range(len(stack) - 1, -1, -1):
        if stack[index] is _MARK:
            items = stack[index + 1 :]
            del stack[index:]
            return items
    raise IndexError("a container without a start")


def _grow(stack: list[Any], kind: str, items: list[Any]) -> None:
    """Put items into the container on top of the stack, which has to be one that grows."""
    container = stack[-1]
    if not isinstance(container, Node) or container.kind != kind:
        raise TypeError(f"not a {kind}")
    if kind == "dict" and len(items) % 2:
        raise ValueError("a key without a value")
    container.parts.extend(items)


def _remember(stack: list[Any]) -> Any:
    if stack[-1] is _MARK:
        raise IndexError("nothing to remember")
    return stack[-1]


def _step(name: str, arg: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    """Run one opcode on the stack."""
    if name in _ATOMS:
        if isinstance(arg, int) and not -_LARGEST <= arg < _LARGEST:
            raise ValueError("an integer of more than 64 bits")
        stack.append(arg)
    elif name in _FIXED:
        stack.append(_FIXED[name])
    elif name == "GLOBAL":
        stack.append(Node("global", text=str(arg)))
    elif name == "MARK":
        stack.append(_MARK)
    elif name in _EMPTY:
        stack.append(Node(_EMPTY[name]))
    elif name in _MARKED:
        stack.append(Node(_MARKED[name], _since_mark(stack)))
        if name == "DICT" and len(stack[-1]) % 2:
            raise ValueError("a key without a value")
    elif name in _SHORT_TUPLES:
        stack.append(Node("tuple", _take(stack, _SHORT_TUPLES[name])))
    elif name in ("APPENDS", "SETITEMS"):
        items = _since_mark(stack)
        _grow(stack, "list" if name == "APPENDS" else "dict", items)
    elif name == "APPEND":
        items = _take(stack, 1)
        _grow(stack, "list", items)
    elif name == "SETITEM":
        items = _take(stack, 2)
        _grow(stack, "dict", items)
    elif name in ("BINPUT", "LONG_BINPUT"):
        memo[int(arg)] = _remember(stack)
    elif name in ("BINGET", "LONG_BINGET"):
        stack.append(memo[int(arg)])
    elif name == "BINPERSID":
        stack.append(Node("storage", _take(stack, 1)))
    elif name in ("REDUCE", "NEWOBJ", "BUILD"):
        stack.append(Node(name, _take(stack, 2)))
    elif (name, arg) != ("PROTO", 2):
        raise UnreadableArtifact(f"a pickle in the file uses the opcode {name}.")


def read_tree(data: bytes) -> Any:
    """Turn a protocol-2 pickle into a `Node`, a number, a string, a bool or None.

    Raises `UnreadableArtifact` when it is damaged or holds what torch does not write.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for count, (opcode, arg, _) in enumerate(pickletools.genops(data)):
            if count > _MAX_OPCODES:
                raise UnreadableArtifact("a pickle in the file is implausibly long.")
            if opcode.name == "STOP":
                return _take(stack, 1)[0]
            _step(opcode.name, arg, stack, memo)
    except UnreadableArtifact:
        raise
    except Exception as error:
        raise UnreadableArtifact(f"a pickle in the file is damaged ({error}).") from error
    raise UnreadableArtifact("a pickle in the file ends early.")


def walk(root: Any) -> Iterator[Node]:
    """Yield every node of a tree once."""
    seen: set[int] = set()
    left = [root]
    while left:
        node = left.pop()
        if isinstance(node, Node) and id(node) not in seen:
            seen.add(id(node))
            yield node
            left.extend(node.parts)
