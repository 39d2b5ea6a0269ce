"""Damage the bytes of an artifact, the same way for the same seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

from ..artifact.records import read_records, rewrite


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


# Blind damage first, then damage that keeps the archive valid and so reaches the parsers.
MUTATORS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flip bits": _flip_bits,
    "truncate": _truncate,
    "overwrite": _overwrite,
    "cut out": _cut_out,
    "duplicate": _duplicate,
    "edit a record": _edit_record,
    "edit a number": _edit_number,
    "swap records": _swap_records,
    "drop a record": _drop_record,
}


def mutate(data: bytes, mutation: Mutation) -> bytes:
    """Damage `data` as `mutation` says; the same mutation does the same damage."""
    return MUTATORS[mutation.kind](data, random.Random(mutation.seed))


def plan_mutations(count: int, seed: int) -> list[Mutation]:
    """List `count` mutations, each kind equally often."""
    kinds = list(MUTATORS)
    # A distinct stream per run seed, and still one number that names a copy.
    return [Mutation(kinds[i % len(kinds)], seed * 1_000_003 + i) for i in range(count)]
