"""Drive a runner process: load a file in a device runtime, read its extras, run inputs.

The native loader reads untrusted bytes: a crash, a hang or a flood of memory stays in the child
and comes back as an error with a sentence.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from ..errors import RuntimeCheckError, UnreadableArtifact
from ..options import DEFAULT_MEMORY, require_limits
from ..runtimes.answers import Answer
from ..runtimes.run import ForwardError, Run
from ..runtimes.translate import translate
from ..runtimes.worker import NoAnswer, Worker, ask, start_worker
from ..scratch import temporary_folder
from .cores import core_for
from .errors import DeviceUnavailable, OtherFormat
from .install import DEFAULT_RUNTIME, InstalledRuntime, find_installed
from .toolchain import RUNTIMES

T = TypeVar("T")

DEFAULT_TIMEOUT = 600.0  # emulation is slow
_DTYPES = frozenset({"uint8", "int8", "int16", "int32", "int64", "float32", "float64", "bool"})
_LONGEST_NAME = 100


@dataclass(frozen=True, kw_only=True)
class DeviceRun:
    """What a file did in a device runtime.

    `seconds` are wall seconds per input, under emulation for ARM64: comparable with each other,
    not with a phone's. `instructions` are guest instructions per input (the last of two runs, so
    that first-use packing is not counted), None where they were not asked for.
    """

    outputs: list[list[np.ndarray]]
    load_seconds: float
    seconds: tuple[float, ...]
    extras: dict[str, bytes]
    instructions: tuple[int, ...] | None
    runtime: str


@dataclass(frozen=True)
class Block:
    """One translated block of guest code: where, how long, how often it ran."""

    address: int
    instructions: int
    executions: int


@dataclass(frozen=True)
class _Loaded:
    """What the runner says once a file is loaded."""

    seconds: float
    torch: str
    engine: str

    @staticmethod
    def of(answer: Answer) -> _Loaded | str:
        """Read an answer to `open`; text is why it failed."""
        if not answer.flag("ok"):
            return translate(answer.text("error"))
        version, engine = answer.text("torch"), answer.text("engine")
        return _Loaded(answer.number("seconds"), version[:_LONGEST_NAME], engine[:_LONGEST_NAME])


def _content(answer: Answer) -> bytes:
    (tensor,) = answer.tensors
    return tensor.tobytes()


def _record(answer: Answer) -> bytes | str | None:
    if not answer.flag("ok"):
        return translate(answer.text("error"))
    return _content(answer) if answer.flag("found") else None


class DeviceSession:
    """One runner process of a device runtime: a `Runtime` once a file is loaded."""

    costly = True
    load_peak_bytes = 0  # not measured there

    def __init__(
        self,
        worker: Worker,
        installed: InstalledRuntime,
        *,
        threads: int,
        timeout: float,
        counts: Path | None,
    ) -> None:
        self._worker = worker
        self._installed = installed
        self._threads = threads
        self._timeout = timeout
        self._counts = counts
        self._counts_read = 0
        self.name = installed.runtime.name
        self._path = "no file"
        self.load_seconds = 0.0
        self.torch = ""
        self.engine = ""
        self.blocks: tuple[Block, ...] = ()

    @property
    def description(self) -> str:
        """Name the runtime for a report, as 'torch 2.1.0 aarch64 (qemu cortex-a76)'."""
        runtime = self._installed.runtime
        if runtime.wheel is None and self.torch:
            return f"torch {self.torch} {platform.machine()} (C++ core)"
        return runtime.description

    def _ask(
        self, doing: str, line: str, read: Callable[[Answer], T], payload: Sequence[bytes] = ()
    ) -> T:
        def send(stdin: IO[bytes]) -> None:
            stdin.write(line.encode() + b"\n")
            for part in payload:
                stdin.write(part)
            stdin.flush()

        try:
            return ask(self._worker, send, read, timeout=self._timeout)
        except NoAnswer as gone:
            raise gone.told(self._path, self.description, doing, self._timeout) from gone

    def maps(self) -> str:
        """Return the runner's memory map, for turning addresses into symbols."""
        return self._ask("starting", "maps", _content).decode("ascii", "replace")

    def limit_memory(self, limit: int) -> None:
        """Let the process map at most `limit` bytes more than now (Linux; elsewhere no limit).

        Under emulation too: qemu maps what its guest asks for one to one, and is refused it.
        """
        if not sys.platform.startswith("linux"):
            return
        import resource

        statm = Path(f"/proc/{self._worker.process.pid}/statm").read_text(encoding="ascii")
        most = int(statm.split()[0]) * os.sysconf("SC_PAGE_SIZE") + limit
        resource.prlimit(self._worker.process.pid, resource.RLIMIT_AS, (most, most))

    def _require_format(self, path: Path) -> None:
        """Raise `OtherFormat` for a file that is plainly for another kind of runtime."""
        if not path.is_file():
            return  # the runtime says what it is instead
        with path.open("rb") as stream:
            found = core_for(stream.read(8))
        core = self._installed.runtime.core
        if found is None or found is core:
            return
        others = [r.name for r in RUNTIMES.values() if r.core is found and r.arch == "aarch64"]
        raise OtherFormat(
            f"{path} is {found.program} (.{found.runs}), and {self.name} runs .{core.runs} files: "
            f"use --run-on {others[0]}, or export it with --format {core.runs}."
        )

    def load(self, path: Path | str, *, engine: str | None = None) -> None:
        """Load a file with `engine`, which is the phone's unless another one is named.

        Raises `UnreadableArtifact` with the runtime's reason translated.
        """
        self._path = str(path)
        self._require_format(Path(path))
        name = os.fsencode(Path(path).resolve())
        engine = engine or self._installed.runtime.core.engine
        question = f"open {engine} {self._threads} {len(name)}"
        loaded = self._ask("loading", question, _Loaded.of, [name])
        if isinstance(loaded, str):
            raise UnreadableArtifact(f"{path} does not load in {self.description}: {loaded}.")
        self.load_seconds = loaded.seconds
        self.torch = loaded.torch
        self.engine = loaded.engine

    def extra(self, name: str) -> bytes | None:
        """Return the content of the record extra/`name`, None when the file has none."""
        text = name.encode()
        found = self._ask("reading", f"extra {len(text)}", _record, [text])
        if isinstance(found, str):
            raise UnreadableArtifact(f"{self._path}: reading extra/{name} failed: {found}.")
        return found

    def forward(self, inputs: Sequence[np.ndarray], *, threads: int = 1, repeats: int = 1) -> Run:
        """Run `forward(*inputs)` `repeats` times; raise `ForwardError` when it raises.

        The last repeat is counted where counting is on. `threads` are those the runner was
        started with: the frozen runtimes cannot change them later.
        """
        assert threads == self._threads, f"the runner has {self._threads} threads, not {threads}"
        payload: list[bytes] = []
        for value in inputs:
            array = np.asarray(value)
            if array.dtype.name not in _DTYPES or not array.dtype.isnative:
                raise ForwardError(
                    f"{self._path}: an input of dtype {array.dtype} cannot be sent to "
                    f"{self.description}; it takes {', '.join(sorted(_DTYPES))}."
                )
            extents = " ".join(str(n) for n in array.shape)
            payload.append(f"{array.dtype.name} {array.ndim} {extents}\n".encode())
            payload.append(np.ascontiguousarray(array).tobytes())
        mark = int(self._counts is not None)
        line = f"forward {max(1, repeats)} {mark} {len(inputs)}"

        def read(answer: Answer) -> Run | str:
            if not answer.flag("ok"):
                return translate(answer.text("error"))
            return Run(outputs=answer.tensors, seconds=answer.numbers("seconds", max(1, repeats)))

        run = self._ask("running", line, read, payload)
        if isinstance(run, str):
            raise ForwardError(f"{self._path}: forward failed in {self.description}: {run}.")
        counted = self._read_count()
        if counted is None:
            return run
        return replace(run, instructions=counted[0], cache_misses=counted[1])

    def _read_count(self) -> tuple[int, int | None] | None:
        """Return what the plugin wrote of the last run: instructions, and cache misses if asked."""
        if self._counts is None:
            return None
        # The plugin wrote before the marker call returned, so before the answer came.
        with self._counts.open("r", encoding="ascii") as stream:
            stream.seek(self._counts_read)
            total, misses = 0, None
            blocks: list[Block] = []
            for line in stream:
                kind, *words = line.split()
                if kind == "total":
                    total, blocks = int(words[0]), []
                elif kind == "misses":
                    misses = int(words[0])
                elif kind == "block":
                    address, length, times = int(words[0], 16), int(words[1]), int(words[2])
                    blocks.append(Block(address, length, times))
        self._counts_read = self._counts.stat().st_size
        self.blocks = tuple(blocks)
        return total, misses


@contextmanager
def open_runner(
    runtime: str = DEFAULT_RUNTIME,
    *,
    threads: int = 1,
    timeout: float = DEFAULT_TIMEOUT,
    memory: int = DEFAULT_MEMORY,
    count: bool = False,
    blocks: bool = False,
    cache: int = 0,
) -> Iterator[DeviceSession]:
    """Start the runner of an installed runtime and yield a session.

    `timeout` is seconds for one answer, `memory` bytes beyond what the libraries map (0: no
    limit). `count` counts instructions (emulated runtimes, one thread); `blocks` also collects
    where, `cache` also how often a core's second-level cache of so many bytes (a power of two)
    had to fetch a line, which takes some ten times as long. Raises `DeviceUnavailable` when the
    runtime or its counter is not there.
    """
    require_limits(timeout, memory)
    installed = find_installed(runtime)
    if count and installed.plugin is None:
        raise DeviceUnavailable(
            f"{runtime} cannot count instructions here: {installed.plugin_reason}."
        )
    if count and threads != 1:
        raise RuntimeCheckError("Instruction counts are exact for one thread only: use threads=1.")
    environment = {
        **{k: v for k, v in os.environ.items() if k not in {"LD_PRELOAD", "LD_LIBRARY_PATH"}},
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
    }
    with temporary_folder() as scratch:
        counts = scratch / "counts" if count else None
        options = [f"out={counts}", *["blocks=1"] * blocks, *[f"cache={cache}"] * (cache > 0)]
        arguments = ",".join(options) if counts else ""
        command = installed.command(plugin_arguments=arguments)
        with start_worker(command, environment=environment) as worker:
            session = DeviceSession(
                worker, installed, threads=threads, timeout=timeout, counts=counts
            )
            session.maps()  # it is up, and its libraries are mapped
            if memory:
                session.limit_memory(memory)
            yield session


def run_on_device(
    path: Path | str,
    inputs: Sequence[Sequence[np.ndarray]],
    *,
    runtime: str = DEFAULT_RUNTIME,
    threads: int = 1,
    timeout: float = DEFAULT_TIMEOUT,
    memory: int = DEFAULT_MEMORY,
    count: bool = False,
    extras: Sequence[str] = ("metadata.json", "golden.json"),
) -> DeviceRun:
    """Run a file on each input in one process of a device runtime.

    Each element of `inputs` is the list of arrays of one `forward` call. With `count`, each input
    runs twice and the second is counted. Raises `UnreadableArtifact`, `ForwardError`, `ChildDied`
    or `DeviceUnavailable`.
    """
    with open_runner(
        runtime, threads=threads, timeout=timeout, memory=memory, count=count
    ) as session:
        session.load(path)
        records = {name: session.extra(name) for name in extras}
        runs = [
            session.forward(arrays, threads=threads, repeats=2 if count else 1) for arrays in inputs
        ]
        return DeviceRun(
            outputs=[run.outputs for run in runs],
            load_seconds=session.load_seconds,
            seconds=tuple(run.seconds[-1] for run in runs),
            extras={name: content for name, content in records.items() if content is not None},
            instructions=tuple(run.instructions or 0 for run in runs) if count else None,
            runtime=session.description,
        )
