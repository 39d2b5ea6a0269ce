"""Milliseconds of all files side by side: after all exports, one at a time, in turns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from runtime_check.artifact.metadata import Frozen
from runtime_check.bench.format import Device
from runtime_check.bench.run import run_bench, this_device
from runtime_check.errors import RuntimeCheckError
from runtime_check.files import write_whole

from ..environment import version_of

TIMING = "timing.json"
# Every file has a process that holds torch and the network, and all of a group are there at once.
_PROCESS = 500_000_000


class Timing(Frozen):
    """Median milliseconds of one thread by the files' SHA-256, and on which machine.

    `groups` is 1 where all files took part in the same rounds; times of different groups were
    taken one group after another.
    """

    key: str
    device: Device
    rounds: int
    groups: int
    ms: Mapping[str, float]
    skipped: Mapping[str, str] = {}

    def __str__(self) -> str:
        turns = (
            "all files in turns, round by round"
            if self.groups == 1
            else f"in {self.groups} groups that fit in memory, each in turns, round by round"
        )
        return f"one thread, median of {self.rounds}, {turns}, after all exports"


def measure(
    files: Mapping[str, Path],
    *,
    rounds: int,
    memory: int,
    folder: Path,
    say: Callable[[str], None],
) -> Timing:
    """Time `files` (by SHA-256) together, and keep the result in `folder`.

    What is there is taken where it is of the same files on the same machine: milliseconds of two
    moments would not be comparable. A file that does not run is skipped, with its reason.
    """
    device = this_device()
    key = _key(files, rounds, device)
    known = _read(folder / TIMING, key)
    if known is not None:
        say("times are there: the same files on the same machine")
        return known
    ms: dict[str, float] = {}
    skipped: dict[str, str] = {}
    groups = [*_groups(files, memory)]
    for number, group in enumerate(groups, 1):
        of = f", group {number} of {len(groups)}" if len(groups) > 1 else ""
        say(f"timing {len(group)} files, {rounds} rounds{of}")
        found, failed = _time(group, rounds)
        ms.update(found)
        skipped.update(failed)
    timing = Timing(
        key=key, device=device, rounds=rounds, groups=len(groups), ms=ms, skipped=skipped
    )
    if not skipped:
        write_whole(folder / TIMING, timing.model_dump_json(indent=1) + "\n")
    return timing


def _time(
    group: Sequence[tuple[str, Path]], rounds: int
) -> tuple[dict[str, float], dict[str, str]]:
    """Time a group; where a file of it fails, those that run alone are timed again without it."""
    try:
        return _bench(group, rounds), {}
    except RuntimeCheckError as error:
        if len(group) == 1:
            return {}, {group[0][0]: str(error)}
    skipped = {}
    for sha256, path in group:
        try:
            run_bench([path], threads=(1,), rounds=1)
        except RuntimeCheckError as error:
            skipped[sha256] = str(error)
    rest = [pair for pair in group if pair[0] not in skipped]
    return (_bench(rest, rounds) if rest else {}), skipped


def _bench(group: Sequence[tuple[str, Path]], rounds: int) -> dict[str, float]:
    benchmark = run_bench([path for _, path in group], threads=(1,), rounds=rounds)
    (device,) = benchmark.devices
    shas = [sha256 for sha256, _ in group]
    return {sha: round(run.median_ms, 3) for sha, run in zip(shas, device.runs, strict=True)}


def _groups(files: Mapping[str, Path], memory: int) -> Iterator[list[tuple[str, Path]]]:
    """Split the files so that all processes of a group fit in memory."""
    group: list[tuple[str, Path]] = []
    taken = 0
    for sha256, path in files.items():
        needed = _PROCESS + 2 * path.stat().st_size
        if group and taken + needed > memory:
            yield group
            group, taken = [], 0
        group.append((sha256, path))
        taken += needed
    if group:
        yield group


def _key(files: Mapping[str, Path], rounds: int, device: Device) -> str:
    said = [sorted(files), rounds, device.model_dump(), version_of("torch")]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _read(path: Path, key: str) -> Timing | None:
    try:
        timing = Timing.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None
    return timing if timing.key == key else None
