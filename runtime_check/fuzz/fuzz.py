"""Damage an artifact in thousands of seeded ways, and see that every copy gets a verdict.

A `.ptl` is data from elsewhere. Python only ever reads it as inert bytes; torch's C++ loader runs
in a child process with a time and a memory limit, one long-lived child for many copies, started
again when a copy kills it. What kills it is a finding about that loader, not an error of the
check.
"""

from __future__ import annotations

import json
import random
import struct
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..artifact.archive import ArtifactFile, read_artifact
from ..artifact.metadata import GOLDEN_RECORD, METADATA_RECORD
from ..compare import compare
from ..errors import RuntimeCheckError
from ..properties import tolerance_of
from ..runtimes.host import ChildDied, HostSession, start_host

# `refused`: an error with a sentence. `same`: outputs as before, the damage was in padding or in
# something unused. `detected`: it loads and computes something else, which the golden vectors
# show. `undetected`: other outputs than the undamaged file, yet the golden vectors pass.
# `crashed`, `hung`: torch's native loader did, in the child. `error`: the check itself failed.
Outcome = Literal["refused", "same", "detected", "undetected", "crashed", "hung", "error"]
_BAD: tuple[Outcome, ...] = ("undetected", "error")


@dataclass(frozen=True)
class Mutation:
    """One damaged copy: what was done, by which seed."""

    kind: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A copy that deserves a look, and the sentence a user would read."""

    mutation: Mutation
    outcome: Outcome
    message: str


@dataclass(frozen=True, kw_only=True)
class FuzzResult:
    """What became of all copies; true when none was taken for good wrongly, and none broke us."""

    file: str
    mutations: int
    seed: int
    seconds: float
    outcomes: dict[str, dict[str, int]]  # mutation kind -> outcome -> count
    restarts: int
    findings: tuple[Finding, ...]
    samples: tuple[Finding, ...] = field(repr=False)  # one refusal of each wording

    def __bool__(self) -> bool:
        return not any(finding.outcome in _BAD for finding in self.findings)


# --- damage ------------------------------------------------------------------------------------


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
    name, content = rng.choice([r for r in _records(data) if r[1]])
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 32))):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return _rezip(data, {name: bytes(damaged)})


def _edit_number(data: bytes, rng: random.Random) -> bytes:
    """Replace a small integer of a pickle: a register, an operator index, a size, an offset."""
    pickles = [r for r in _records(data) if r[0].endswith(".pkl")]
    name, content = rng.choice(pickles)
    places = [i for i, byte in enumerate(content[:-2]) if byte in b"KMJ"]
    if not places:
        return _flip_bits(data, rng)
    at = rng.choice(places)
    width = {ord("K"): 1, ord("M"): 2, ord("J"): 4}[content[at]]
    value = rng.choice((0, 1, 255, 2**15, 2**31 - 1, -1, -(2**31), rng.randrange(256)))
    raw = struct.pack("<q", value)[:width]
    return _rezip(data, {name: content[: at + 1] + raw + content[at + 1 + width :]})


def _swap_records(data: bytes, rng: random.Random) -> bytes:
    records = _records(data)
    (one, first), (other, second) = rng.sample(records, 2)
    return _rezip(data, {one: second, other: first})


def _drop_record(data: bytes, rng: random.Random) -> bytes:
    return _rezip(data, {rng.choice(_records(data))[0]: None})


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


def _records(data: bytes) -> list[tuple[str, bytes]]:
    import io

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def _rezip(data: bytes, changed: dict[str, bytes | None]) -> bytes:
    """Write the archive again with changed records (None drops one), stored, 64-byte aligned."""
    import io

    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, content in _records(data):
            value = changed.get(name, content)
            if value is None:
                continue
            info = zipfile.ZipInfo(name)
            # torch aligns tensor data by a padding field in the local header.
            start = sink.tell() + 30 + len(name.encode()) + 4
            info.extra = struct.pack("<HH", 0x4246, -start % 64) + b"Z" * (-start % 64)
            archive.writestr(info, value)
    return sink.getvalue()


def mutate(data: bytes, mutation: Mutation) -> bytes:
    """Damage `data` as `mutation` says; the same mutation does the same damage."""
    return MUTATORS[mutation.kind](data, random.Random(mutation.seed))


def plan(count: int, seed: int) -> list[Mutation]:
    """List `count` mutations, each kind equally often."""
    kinds = list(MUTATORS)
    # A distinct stream per run seed, and still one number that names a copy.
    return [Mutation(kinds[i % len(kinds)], seed * 1_000_003 + i) for i in range(count)]


# --- verdicts ----------------------------------------------------------------------------------


@dataclass
class _Loader:
    """A child that loads one copy after another, started again when a copy kills it."""

    timeout: float
    memory: int
    stack: ExitStack
    session: HostSession | None = None
    restarts: int = -1

    def get(self) -> HostSession:
        if self.session is None:
            self.restarts += 1
            self.session = self.stack.enter_context(start_host(timeout=self.timeout))
        return self.session

    def lost(self) -> None:
        self.session = None


def _judge(
    path: Path, clean: ArtifactFile, baseline: list[list[np.ndarray]], loader: _Loader
) -> tuple[Outcome, str]:
    """Give one copy its verdict, and the sentence that goes with it."""
    try:
        damaged = read_artifact(path)
    except RuntimeCheckError as error:
        return "refused", str(error)
    try:
        session = loader.get()
        session.load(path=path, engine="qnnpack", threads=1, memory=loader.memory)
        outputs = [
            session.forward([i.array() for i in case.inputs]).outputs for case in clean.golden.cases
        ]
        expected = [[e.array() for e in case.expected] for case in damaged.golden.cases]
        replayed = [
            session.forward([i.array() for i in case.inputs]).outputs
            for case in damaged.golden.cases
        ]
    except ChildDied as error:
        loader.lost()
        return ("hung" if "still" in str(error) else "crashed"), str(error)
    except RuntimeCheckError as error:
        return "refused", str(error)
    tolerance = tolerance_of(clean.golden.tolerance)
    same = all(compare(b, o, tolerance) for b, o in zip(baseline, outputs, strict=True))
    told = tolerance_of(damaged.golden.tolerance)
    passes = all(compare(e, r, told) for e, r in zip(expected, replayed, strict=True))
    if not passes:
        return "detected", "it loads, but its golden vectors do not replay: the file is damaged"
    if same:
        return "same", ""
    return "undetected", (
        "it computes other outputs than the undamaged file, and its golden vectors pass all the "
        "same: only a checksum of the whole file can tell"
    )


def fuzz_file(
    path: Path | str,
    *,
    mutations: int = 1000,
    seed: int = 0,
    timeout: float = 20.0,
    memory: int = 2 * 2**30,
    keep: Path | None = None,
    progress: Console | None = None,
) -> FuzzResult:
    """Judge `mutations` damaged copies of a good artifact.

    `timeout` in seconds and `memory` in bytes bound one load or run of one copy; `keep` is a
    folder for copies that crashed or hung the loader. Raises `RuntimeCheckError` when the file
    is not good to begin with.
    """
    path = Path(path)
    started = time.perf_counter()
    data = path.read_bytes() if path.is_file() else b""
    clean = read_artifact(path)
    outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in MUTATORS}
    findings: list[Finding] = []
    samples: dict[str, Finding] = {}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as scratch:
        loader = _Loader(timeout, memory, stack)
        session = loader.get()
        session.load(path=path, engine="qnnpack", threads=1, memory=memory)
        baseline = [
            session.forward([i.array() for i in case.inputs]).outputs for case in clean.golden.cases
        ]
        copy = Path(scratch) / path.name
        for mutation in _with_progress(plan(mutations, seed), progress):
            damaged = mutate(data, mutation)
            copy.write_bytes(damaged)
            outcome: Outcome
            try:
                outcome, message = _judge(copy, clean, baseline, loader)
            except Exception as error:  # noqa: BLE001  an escape is the very thing looked for
                outcome, message = "error", f"{type(error).__name__}: {error}"
                loader.lost()
            message = message.replace(str(copy), path.name)
            if damaged == data:
                outcome = "same"
            outcomes[mutation.kind][outcome] += 1
            finding = Finding(mutation=mutation, outcome=outcome, message=message)
            if outcome in ("crashed", "hung", *_BAD):
                findings.append(finding)
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    name = f"{mutation.kind.replace(' ', '-')}-{mutation.seed}{path.suffix}"
                    (keep / name).write_bytes(damaged)
            elif outcome == "refused":
                samples.setdefault(_wording(message), finding)
        restarts = loader.restarts
    return FuzzResult(
        file=path.name,
        mutations=mutations,
        seed=seed,
        seconds=time.perf_counter() - started,
        outcomes={kind: dict(counts) for kind, counts in outcomes.items()},
        restarts=restarts,
        findings=tuple(findings),
        samples=tuple(samples.values()),
    )


def _wording(message: str) -> str:
    """Reduce a message to its wording, so that one of each kind is kept."""
    words = [w for w in message.split() if not any(c.isdigit() for c in w)]
    return " ".join(words[:8])


def _with_progress(work: list[Mutation], console: Console | None) -> Iterator[Mutation]:
    if console is None or not console.is_terminal:
        yield from work
        return
    from rich.progress import track

    yield from track(work, "damaged copies", console=console, transient=True)


# --- wrong files, whole ------------------------------------------------------------------------


def zip_bomb(path: Path, *, records: int = 4, megabytes: int = 64) -> Path:
    """Write a small zip laid out like a lite file whose records unpack to much more."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/version", "3\n")
        for index in range(records):
            archive.writestr(f"model/data/{index}", b"\0" * (megabytes * 2**20))
    return path


def lying_bomb(path: Path, *, megabytes: int = 256) -> Path:
    """Write a zip whose directory states a small size for a record that unpacks to much more."""
    plain = b"\0" * (megabytes * 2**20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(plain) + packer.flush()
    name = b"model/bytecode.pkl"
    crc, claimed = zlib.crc32(plain), 1000
    head = struct.pack("<HHHHHIII", 20, 0, 8, 0, 0, crc, len(packed), claimed)
    local = b"PK\3\4" + head + struct.pack("<HH", len(name), 0) + name + packed
    entry = (
        b"PK\1\2"
        + struct.pack("<H", 20)
        + head
        + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0)
    )
    entry += name
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)
    path.write_bytes(local + entry + end)
    return path


def records_of(path: Path) -> dict[str, bytes]:
    """Read all records of an archive, by their names below its top folder."""
    return {name.split("/", 1)[1]: content for name, content in _records(path.read_bytes())}


def with_records(source: Path, target: Path, changed: dict[str, bytes | None]) -> Path:
    """Copy an artifact with some records replaced or dropped (None), checksums made to fit.

    Record names are below the archive's top folder, as `extra/metadata.json`.
    """
    data = source.read_bytes()
    root = _records(data)[0][0].split("/", 1)[0]
    target.write_bytes(_rezip(data, {f"{root}/{name}": value for name, value in changed.items()}))
    return target


def with_metadata(source: Path, target: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """Copy an artifact with its metadata changed in place by `change`."""
    return _with_json(source, target, METADATA_RECORD, change)


def with_golden(source: Path, target: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """Copy an artifact with its golden vectors changed in place by `change`."""
    return _with_json(source, target, GOLDEN_RECORD, change)


def _with_json(
    source: Path, target: Path, record: str, change: Callable[[dict[str, object]], None]
) -> Path:
    value: dict[str, object] = json.loads(records_of(source)[record])
    change(value)
    return with_records(source, target, {record: json.dumps(value).encode()})


# --- showing -----------------------------------------------------------------------------------


def to_json(result: FuzzResult) -> str:
    """Serialise a fuzz run, with a newline at the end."""
    listed = [
        {
            "kind": f.mutation.kind,
            "seed": f.mutation.seed,
            "outcome": f.outcome,
            "message": f.message,
        }
        for f in result.findings
    ]
    return (
        json.dumps(
            {
                "file": result.file,
                "mutations": result.mutations,
                "seed": result.seed,
                "seconds": round(result.seconds, 3),
                "restarts": result.restarts,
                "outcomes": result.outcomes,
                "findings": listed,
                "passed": bool(result),
            },
            indent=2,
        )
        + "\n"
    )


def print_fuzz(result: FuzzResult, console: Console) -> None:
    """Print a table of outcomes by kind of damage, then the findings."""
    seen = ("refused", "detected", "same", "crashed", "hung", "undetected", "error")
    columns = [name for name in seen if any(name in c for c in result.outcomes.values())]
    table = Table(box=None, pad_edge=False)
    table.add_column("damage")
    for name in columns:
        table.add_column(name, justify="right")
    for kind, counts in result.outcomes.items():
        table.add_row(kind, *(str(counts.get(name, "")) for name in columns))
    console.print(table)
    console.print(
        f"{result.mutations} damaged copies of {escape(result.file)} in {result.seconds:.0f} s, "
        f"seed {result.seed}; torch's loader was started again {result.restarts} times."
    )
    shown = result.findings[:12]
    for finding in shown:
        console.print(
            f"[yellow]{finding.outcome}[/yellow] {finding.mutation.kind}, seed "
            f"{finding.mutation.seed}: {escape(finding.message)}"
        )
    if len(result.findings) > len(shown):
        console.print(f"... and {len(result.findings) - len(shown)} more (--json lists them).")
    word = "[green]Every copy got a verdict.[/green]"
    console.print(word if result else "[bold red]Some copies were not told apart.[/bold red]")
