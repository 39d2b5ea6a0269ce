"""Damage the bytes of an artifact, the same way for the same seed."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..artifact.metadata import METADATA_RECORD
from ..artifact.program import is_program
from ..artifact.records import in_front, read_records, rewrite

# Of a program's header: its flatbuffer's size, and where the data behind that begins.
_EXTENDED_HEADER, _SIZES, _SIZES_AT = b"eh00", "<QQ", 16


@dataclass(frozen=True)
class Mutation:
    """One damaged copy: what was done, by which seed."""

    kind: str
    seed: int


def _flip_bits(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 8, 64))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    size = min(len(data) - start, rng.choice((4, 16, 256, 4096)))
    filler = rng.choice((b"\0" * size, b"\xff" * size, rng.randbytes(size)))
    return data[:start] + filler + data[start + size :]


def _cut_out(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice((1, 64, 1024)) :]


def _duplicate(data: bytes, rng: random.Random) -> bytes:
    start, size = rng.randrange(len(data)), rng.choice((1, 64, 1024))
    return data[: start + size] + data[start:]


def _edit_record(data: bytes, rng: random.Random) -> bytes:
    """Damage one record and make the checksums fit: what an attacker does, not a bad disk."""
    name, content = rng.choice([r for r in read_records(data) if r[1]])
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 32))):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return rewrite(data, {name: bytes(damaged)})


def _edit_number(data: bytes, rng: random.Random) -> bytes:
    """Replace a small integer of a pickle: a register, an operator index, a size, an offset."""
    pickles = [r for r in read_records(data) if r[0].endswith(".pkl")]
    name, content = rng.choice(pickles)
    places = [i for i, byte in enumerate(content[:-2]) if byte in b"KMJ"]
    if not places:
        return _flip_bits(data, rng)
    at = rng.choice(places)
    width = {ord("K"): 1, ord("M"): 2, ord("J"): 4}[content[at]]
    value = rng.choice((0, 1, 255, 2**15, 2**31 - 1, -1, -(2**31), rng.randrange(256)))
    raw = struct.pack("<q", value)[:width]
    return rewrite(data, {name: content[: at + 1] + raw + content[at + 1 + width :]})


def _swap_records(data: bytes, rng: random.Random) -> bytes:
    records = read_records(data)
    (one, first), (other, second) = rng.sample(records, 2)
    return rewrite(data, {one: second, other: first})


def _drop_record(data: bytes, rng: random.Random) -> bytes:
    return rewrite(data, {rng.choice(read_records(data))[0]: None})


def _restated(data: bytes, program: bytes) -> bytes:
    """Exchange the program, and let the metadata state its size and hash: what an attacker does."""
    name, record = next(r for r in read_records(data) if r[0].endswith(METADATA_RECORD))
    metadata = json.loads(record)
    metadata["program"] |= {"bytes": len(program), "sha256": hashlib.sha256(program).hexdigest()}
    return rewrite(data, {name: json.dumps(metadata).encode()}, front=program)


def _vital(program: bytes | bytearray, rng: random.Random) -> tuple[int, int]:
    """Choose a part of a program, from and to: mostly what is parsed, which is small."""
    size, segments = len(program), len(program)
    if program[8:12] == _EXTENDED_HEADER and len(program) >= _SIZES_AT + 16:
        size, segments = struct.unpack_from(_SIZES, program, _SIZES_AT)
    parts = [(0, 64), (0, size), (0, size), (segments, segments + 4096), (0, len(program))]
    start, end = rng.choice(parts)
    end = max(1, min(end, len(program)))
    return min(start, end - 1), end


def _edit_program(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(in_front(data))
    start, end = _vital(damaged, rng)
    for _ in range(rng.choice((1, 1, 1, 8, 64))):
        damaged[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
    return _restated(data, bytes(damaged))


def _edit_word(data: bytes, rng: random.Random) -> bytes:
    """Replace a word of the program: an offset, a size, an index."""
    program = in_front(data)
    start, end = _vital(program, rng)
    at = rng.randrange(start, end) & ~3
    value = rng.choice((0, 1, 255, 2**15, 2**31 - 1, -1, -(2**31), rng.randrange(2**16)))
    return _restated(data, program[:at] + struct.pack("<i", value) + program[at + 4 :])


def _cut_program(data: bytes, rng: random.Random) -> bytes:
    program = in_front(data)
    start, end = _vital(program, rng)
    # At least its mark: without it, this is no program.
    return _restated(data, program[: max(8, rng.randrange(start, end))])


Mutator = Callable[[bytes, random.Random], bytes]

# Blind damage first, then damage that keeps the archive valid and so reaches the parsers.
_OF_ALL: dict[str, Mutator] = {
    "flip bits": _flip_bits,
    "truncate": _truncate,
    "overwrite": _overwrite,
    "cut out": _cut_out,
    "duplicate": _duplicate,
    "edit a record": _edit_record,
    "swap records": _swap_records,
    "drop a record": _drop_record,
}
_OF_PTL: dict[str, Mutator] = {"edit a number": _edit_number}
_OF_PTE: dict[str, Mutator] = {
    "edit the program": _edit_program,
    "edit a word of it": _edit_word,
    "cut the program": _cut_program,
}
MUTATORS: dict[str, Mutator] = {**_OF_ALL, **_OF_PTL, **_OF_PTE}


def kinds_for(data: bytes) -> tuple[str, ...]:
    """Name the ways to damage this file."""
    return (*_OF_ALL, *(_OF_PTE if is_program(data[:8]) else _OF_PTL))


def mutate(data: bytes, mutation: Mutation) -> bytes:
    """Damage `data` as `mutation` says; the same mutation does the same damage."""
    return MUTATORS[mutation.kind](data, random.Random(mutation.seed))


def plan_mutations(kinds: Sequence[str], count: int, seed: int) -> list[Mutation]:
    """List `count` mutations, each kind equally often."""
    # A distinct stream per run seed, and still one number that names a copy.
    return [Mutation(kinds[i % len(kinds)], seed * 1_000_003 + i) for i in range(count)]
