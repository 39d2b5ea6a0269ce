"""Say where the ARM instructions of one inference go, symbol by symbol."""

from __future__ import annotations

import bisect
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import DeviceUnavailable
from .install import DEFAULT_RUNTIME
from .runner import DEFAULT_TIMEOUT, Block, open_runner


@dataclass(frozen=True)
class SymbolCount:
    """Instructions spent in one function; `symbol` is [library] where it has no symbol."""

    symbol: str
    library: str
    instructions: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One steady inference: total guest instructions, and the functions they were in."""

    runtime: str
    instructions: int
    symbols: tuple[SymbolCount, ...]  # dearest first


def _libraries(maps: str) -> list[tuple[int, int, int, str]]:
    """Parse a memory map into (start, end, load base, path), sorted by start."""
    base: dict[str, int] = {}
    segments = []
    for line in maps.splitlines():
        words = line.split(maxsplit=5)
        if len(words) < 6 or not words[5].startswith("/"):
            continue
        start, end = (int(word, 16) for word in words[0].split("-"))
        path = words[5].strip()
        # The first segment of a library has file offset 0 and virtual address 0.
        base[path] = min(start, base.get(path, start))
        segments.append((start, end, path))
    return sorted((start, end, base[path], path) for start, end, path in segments)


def _symbols(tool: str, library: str) -> tuple[list[int], list[tuple[str, int]]]:
    """Return the functions of a library: sorted addresses, and (name, size; 0 for unknown)."""
    addresses: list[int] = []
    functions: list[tuple[str, int]] = []
    for table in ([], ["-D"]):  # a stripped library's exports are better than nothing
        result = subprocess.run(
            [tool, "-n", "-S", "--defined-only", *table, library],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        for line in result.stdout.splitlines():
            words = line.split()
            # $x and $d are ARM's mapping symbols: they mark code and data, not functions.
            if len(words) < 3 or words[-2] not in "tTwWiV" or words[-1].startswith("$"):
                continue
            addresses.append(int(words[0], 16))
            size = int(words[1], 16) if len(words) == 4 else 0
            functions.append((words[-1].partition("@")[0], size))
        if addresses:
            break
    return addresses, functions


def _demangled(names: Iterable[str]) -> dict[str, str]:
    tool = shutil.which("c++filt") or shutil.which("aarch64-linux-gnu-c++filt")
    mangled = list(names)
    if tool is None:
        return {name: name for name in mangled}
    result = subprocess.run(
        [tool], input="\n".join(mangled), capture_output=True, text=True, check=False
    )
    return dict(zip(mangled, result.stdout.splitlines(), strict=False))


def attribute(blocks: Sequence[Block], maps: str) -> tuple[SymbolCount, ...]:
    """Turn counted blocks into functions, dearest first, using the libraries' symbol tables."""
    tool = shutil.which("aarch64-linux-gnu-nm")
    if tool is None:
        raise DeviceUnavailable(
            "A profile needs aarch64-linux-gnu-nm: apt-get install -y binutils-aarch64-linux-gnu"
        )
    libraries = _libraries(maps)
    starts = [entry[0] for entry in libraries]
    tables: dict[str, tuple[list[int], list[tuple[str, int]]]] = {}
    spent: Counter[tuple[str, str]] = Counter()
    for block in blocks:
        at = bisect.bisect_right(starts, block.address) - 1
        name, library = "[unknown]", "[unknown]"
        if at >= 0 and block.address < libraries[at][1]:
            _, _, base, path = libraries[at]
            library = Path(path).name
            name = f"[{library}]"
            if path not in tables:
                tables[path] = _symbols(tool, path)
            addresses, functions = tables[path]
            index = bisect.bisect_right(addresses, block.address - base) - 1
            if index >= 0:
                symbol, size = functions[index]
                if symbol == "_init":
                    name = "[call stubs]"  # they follow _init and have no symbols of their own
                elif size == 0 or block.address - base < addresses[index] + size:
                    name = symbol
        spent[name, library] += block.instructions * block.executions
    total = sum(spent.values()) or 1
    readable = _demangled(name for name, _ in spent)
    return tuple(
        SymbolCount(readable.get(name, name), library, count, count / total)
        for (name, library), count in spent.most_common()
    )


def profile(
    path: Path | str,
    inputs: Sequence[np.ndarray],
    *,
    runtime: str = DEFAULT_RUNTIME,
    timeout: float = DEFAULT_TIMEOUT,
) -> Profile:
    """Count the second inference of a file on `inputs`, function by function.

    Raises as `run_on_device` does, and `DeviceUnavailable` where this qemu cannot count.
    """
    with open_runner(runtime, count=True, blocks=True, timeout=timeout) as session:
        session.load(path)
        answer = session.forward(inputs, repeats=2)
        return Profile(
            runtime=session.description,
            instructions=answer.instructions or 0,
            symbols=attribute(session.blocks, session.maps()),
        )
