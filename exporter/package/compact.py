"""Make a lite file's records smaller and fewer, losing nothing.

torch stores the scales of per-channel int8 weights as doubles, though every one of ours is a
float32; their zero points, all zero, as 8 bytes each; and each bias, scale and zero point as a
record of its own, with some 200 bytes of zip around it and to be opened at every load.

The pickles are split into opcodes and written anew, never executed. Only storages change: which
record they are in, where, and whether scales are float or double. torch's unpickler
(torch/csrc/jit/serialization/unpickler.cpp) makes views of a shared storage, and doubles of
float scales: tried with 1.12.2 (Android's library), 1.13.1, 2.1.0 and 2.12.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime_check.artifact.pickles import Node, read_tree, walk
from runtime_check.errors import UnreadableArtifact

# Larger storages stay apart: weights are packed by the loader one by one, and a storage shared
# by several stays in memory until the last is done.
SMALL = 64 * 1024
# Where a tensor may start within a shared storage, in bytes.
_ALIGNMENT = 16
_FOLDER = "constants/"
_PICKLES = ("constants.pkl", "bytecode.pkl")
_BUILDERS = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_qtensor")


def _key(value: Any) -> Any:
    """What makes two values one in the memo: text for strings and globals, else identity."""
    if isinstance(value, Node):
        return ("global", value.text) if value.kind == "global" else id(value)
    return ("text", value) if isinstance(value, str) else None


def _int(value: int) -> bytes:
    if 0 <= value < 2**8:
        return b"K" + struct.pack("<B", value)
    if 0 <= value < 2**16:
        return b"M" + struct.pack("<H", value)
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + struct.pack("<q", value)


def _atom(value: Any) -> bytes:
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        return _int(value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    raw = str(value).encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


_CLOSE = {"REDUCE": b"R", "NEWOBJ": b"\x81", "BUILD": b"b", "storage": b"Q", "tuple": b"t"}
_FILL = {"list": (b"]", b"e"), "dict": (b"}", b"u")}


def _write(root: Any) -> bytes:
    """Turn a tree into a pickle of the opcodes that torch's own writer uses."""
    uses: Counter[Any] = Counter()
    for node in walk(root):
        uses.update(_key(part) for part in node.parts)
    memo: dict[Any, int] = {}
    out = bytearray(b"\x80\x02")

    def emit(value: Any) -> None:
        key = _key(value)
        if key in memo:
            number = memo[key]
            out.extend(b"h" + bytes([number]) if number < 256 else b"j" + struct.pack("<I", number))
            return
        if not isinstance(value, Node):
            out.extend(_atom(value))
        elif value.kind == "global":
            out.extend(b"c" + value.text.replace(" ", "\n", 1).encode() + b"\n")
        elif value.kind in _FILL:
            empty, fill = _FILL[value.kind]
            out.extend(empty)
            if value.parts:
                out.extend(b"(")
                for part in value.parts:
                    emit(part)
                out.extend(fill)
        elif value.kind == "tuple" and not value.parts:
            out.extend(b")")
        else:
            if value.kind == "tuple":
                out.extend(b"(")
            for part in value.parts:
                emit(part)
            out.extend(_CLOSE[value.kind])
        if key is not None and uses[key] > 1:
            memo[key] = len(memo)
            number = memo[key]
            out.extend(b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number))

    emit(root)
    return bytes(out + b".")


@dataclass(frozen=True)
class _Use:
    """One tensor on a storage: the arguments it is built from, and what for."""

    arguments: Node
    role: str  # plain, quantized, scales, zero_points


def _uses(root: Any) -> tuple[dict[str, list[_Use]], set[str]]:
    """Say which tensors are on which storage, and which storages are used in unknown ways."""
    roles: dict[int, str] = {}
    builders = []
    for node in walk(root):
        if node.kind == "REDUCE" and getattr(node.parts[0], "text", "") in _BUILDERS:
            builders.append(node)
            if node.parts[0].text == _BUILDERS[1]:
                roles[id(node)] = "quantized"
                grid = node.parts[1].parts[4].parts
                if getattr(grid[0], "text", "") == "torch per_channel_affine":
                    roles[id(grid[1])], roles[id(grid[2])] = "scales", "zero_points"
    known: dict[str, list[_Use]] = defaultdict(list)
    direct: Counter[int] = Counter()
    for node in builders:
        arguments = node.parts[1]
        storage = arguments.parts[0]
        direct[id(storage)] += 1
        known[_record_of(storage)].append(_Use(arguments, roles.get(id(node), "plain")))
    touched: Counter[int] = Counter()
    storages = {}
    for node in walk(root):
        for part in node.parts:
            if isinstance(part, Node) and part.kind == "storage":
                touched[id(part)] += 1
                storages[id(part)] = part
    strange = {_record_of(s) for i, s in storages.items() if touched[i] != direct[i]}
    return known, strange


def _record_of(storage: Node) -> str:
    return _FOLDER + str(storage.parts[0].parts[2])


def _type_of(storage: Node) -> str:
    return str(storage.parts[0].parts[1].text)


_BYTES = {
    "torch FloatStorage": 4,
    "torch DoubleStorage": 8,
    "torch LongStorage": 8,
    "torch ShortStorage": 2,
}


def _as_floats(data: bytes) -> bytes | None:
    """Return little-endian doubles as floats; None where one would change."""
    doubles = np.frombuffer(data, dtype="<f8")
    floats = doubles.astype("<f4")
    return floats.tobytes() if np.array_equal(floats.astype("<f8"), doubles) else None


def compact_records(records: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return a lite file's small records with storages shared and scales as float32.

    `records` are its pickles and all records of at most `SMALL` bytes; larger ones stay as they
    are. A file that holds anything unknown comes back as it was.
    """
    try:
        roots = {name: read_tree(records[name]) for name in _PICKLES if name in records}
    except UnreadableArtifact:
        return dict(records)
    uses: dict[str, list[_Use]] = defaultdict(list)
    strange: set[str] = set()
    for root in roots.values():
        known, unknown = _uses(root)
        strange |= unknown
        for name, found in known.items():
            uses[name].extend(found)
    small = {name: uses[name] for name in uses if name in records and name not in strange}
    placed: dict[str, _Place] = {}
    pools: dict[str, bytearray] = defaultdict(bytearray)
    # Largest first, so that a shorter run of zeros is found within a longer one.
    for name in sorted(small, key=lambda name: (-len(records[name]), name)):
        roles = {use.role for use in small[name]}
        kind = _type_of(small[name][0].arguments.parts[0])
        data = records[name]
        if kind not in _BYTES or "quantized" in roles:
            continue
        if roles == {"scales"} and kind == "torch DoubleStorage":
            floats = _as_floats(data)
            data, kind = (data, kind) if floats is None else (floats, "torch FloatStorage")
        pool = pools[kind]
        grid = roles <= {"scales", "zero_points"}
        at = _find(pool, data) if grid else -1  # what nobody writes to may be one
        if at < 0:
            pool.extend(bytes(-len(pool) % _ALIGNMENT))
            at = len(pool)
            pool.extend(data)
        placed[name] = _Place(kind, at // _BYTES[kind])
    shared = {kind: f"{kind.split()[1].removesuffix('Storage').lower()}.storage" for kind in pools}
    changed = dict(records)
    for name in placed:
        del changed[name]
    for kind, pool in pools.items():
        changed[_FOLDER + shared[kind]] = bytes(pool)
    for name, root in roots.items():
        _move(root, placed, lambda kind: (shared[kind], len(pools[kind]) // _BYTES[kind]))
        changed[name] = _write(root)
    return changed


@dataclass(frozen=True)
class _Place:
    kind: str
    offset: int  # in elements


def _find(pool: bytearray, data: bytes) -> int:
    at = pool.find(data)
    while at >= 0 and at % _ALIGNMENT:
        at = pool.find(data, at + 1)
    return at


def _move(
    root: Any, placed: Mapping[str, _Place], record: Callable[[str], tuple[str, int]]
) -> None:
    """Point every tensor of the tree at the storage its data moved to."""
    nodes: dict[str, Node] = {}
    for use in [use for found in _uses(root)[0].values() for use in found]:
        storage = use.arguments.parts[0]
        place = placed.get(_record_of(storage))
        if place is None:
            continue
        if place.kind not in nodes:
            name, elements = record(place.kind)
            described = [*storage.parts[0].parts]
            described[1] = Node("global", text=place.kind)
            described[2], described[4] = name, elements
            nodes[place.kind] = Node("storage", [Node("tuple", described)])
        use.arguments.parts[0] = nodes[place.kind]
        use.arguments.parts[1] += place.offset
