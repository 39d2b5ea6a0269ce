"""Run a file in a fresh process: a `.ptl` on this machine's torch, a `.pte` on its ExecuTorch.

The native loader is C++ reading untrusted bytes: a crash, a hang or a flood of memory stays in
the child and comes back as an error with a sentence.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..artifact.program import is_pte
from ..errors import RuntimeCheckError, UnreadableArtifact
from ..options import DEFAULT_MEMORY, DEFAULT_TIMEOUT, require_limits
from .answers import Answer
from .frames import unsendable, write_frame
from .program import NoExecuTorch
from .run import ForwardError, Run
from .translate import translate
from .worker import NoAnswer, Worker, ask, start_worker

T = TypeVar("T")

_LONGEST_VERSION = 100
_LONGER = 5.0  # seconds that the child's own limit comes after the parent's


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Something else that does a file's job, for comparisons of speed.

    `build` is a `module:function` that the child imports and calls with the `load` frame's header
    (the file's path, the threads, `options`); it returns the peer's `forward` and its version.
    """

    name: str
    build: str
    options: Mapping[str, object]


class NoPeerModel(RuntimeCheckError):
    """The Python model behind a peer cannot be built, whatever the peer is."""


@dataclass(frozen=True)
class _NotLoaded:
    """Why loading failed; `ours` says that it is an error of this package's, with its sentence."""

    reason: str
    ours: bool


@dataclass(frozen=True)
class _Loaded:
    """What the child measured while loading."""

    seconds: float
    peak: int
    before: int
    version: str

    @staticmethod
    def of(answer: Answer) -> _Loaded | _NotLoaded:
        """Read an answer to `load`."""
        if not answer.flag("ok"):
            return _NotLoaded(translate(answer.text("error")), answer.flag("ours"))
        return _Loaded(
            answer.number("seconds"),
            int(answer.number("peak")),
            int(answer.number("before")),
            answer.text("version")[:_LONGEST_VERSION],
        )


class HostSession:
    """One file loaded in one child process on this machine: a `Runtime`."""

    name = "host"
    costly = False

    def __init__(self, worker: Worker, timeout: float) -> None:
        self._worker = worker
        self._path = Path()
        self.engine = ""
        self._timeout = timeout
        self.load_seconds = 0.0
        self.load_peak_bytes = 0
        self.version = ""  # of torch, of ExecuTorch, or of the peer
        self.family = "torch"  # whose version that is
        self.before_bytes = 0  # memory before loading: torch itself

    def _ask(
        self, header: dict[str, Any], tensors: list[np.ndarray], read: Callable[[Answer], T]
    ) -> T:
        question = {**header, "limit": self._timeout + _LONGER}
        try:
            return ask(
                self._worker,
                lambda stdin: write_frame(stdin, question, tensors),
                read,
                timeout=self._timeout,
            )
        except NoAnswer as gone:
            doing = "loading" if header["do"] == "load" else "running"
            raise gone.told(str(self._path), self.family, doing, self._timeout) from gone

    def load(
        self,
        *,
        path: Path,
        engine: str,
        threads: int,
        memory: int,
        peer: Peer | None = None,
    ) -> None:
        """Load a file, in place of the one before; raise `UnreadableArtifact` with the reason.

        `peer` runs instead of the file; `NoPeerModel` says that its Python model is not to be had.
        """
        require_limits(self._timeout, memory)
        self._path, self.engine = path, engine
        self.family = "torch"
        if peer is None and is_pte(path):
            self.family, self.engine = "ExecuTorch", "xnnpack"
        header = {
            "do": "load",
            "path": str(self._path),
            "engine": engine,
            "threads": threads,
            "memory": memory,
            "build": "" if peer is None else peer.build,
            **({} if peer is None else peer.options),
        }
        loaded = self._ask(header, [], _Loaded.of)
        if isinstance(loaded, _NotLoaded) and peer is not None:
            cause = NoPeerModel if loaded.ours else RuntimeCheckError
            raise cause(f"{peer.name} cannot run it: {loaded.reason.removesuffix('.')}.")
        if isinstance(loaded, _NotLoaded) and loaded.ours:
            raise NoExecuTorch(f"{self._path} was not loaded: {loaded.reason}.")
        if isinstance(loaded, _NotLoaded):
            where = "the lite interpreter" if self.family == "torch" else self.family
            raise UnreadableArtifact(f"{self._path} does not load in {where}: {loaded.reason}.")
        self.load_seconds = loaded.seconds
        self.load_peak_bytes = loaded.peak
        self.before_bytes = loaded.before
        self.version = loaded.version

    @property
    def description(self) -> str:
        """Name the runtime for a report, as 'torch 2.12.1 on x86_64'."""
        return f"{self.family} {self.version} on {platform.machine()}"

    def forward(self, inputs: Sequence[np.ndarray], *, threads: int = 1, repeats: int = 1) -> Run:
        """Run `forward(*inputs)` `repeats` times; raise `ForwardError` when it raises."""
        arrays = [np.asarray(value) for value in inputs]
        if reason := unsendable(arrays):
            raise ForwardError(f"{self._path}: forward cannot be given {reason}.")

        def read(answer: Answer) -> Run | str:
            if not answer.flag("ok"):
                return translate(answer.text("error"))
            return Run(
                outputs=answer.tensors,
                seconds=answer.numbers("seconds", max(1, repeats)),
                peak_bytes=int(answer.number("peak")),
            )

        header = {"do": "forward", "threads": threads, "repeats": repeats}
        run = self._ask(header, arrays, read)
        if isinstance(run, str):
            raise ForwardError(f"{self._path}: forward failed: {run}.")
        return run


@contextmanager
def open_host(
    path: Path | str,
    *,
    engine: str = "qnnpack",
    threads: int = 1,
    timeout: float = DEFAULT_TIMEOUT,
    memory: int = DEFAULT_MEMORY,
    environment: Mapping[str, str] | None = None,
) -> Iterator[HostSession]:
    """Load `path` in a fresh process and yield a session whose `forward` runs it.

    `timeout` is seconds for one answer; `memory` is bytes beyond what torch itself maps (0: no
    limit); `environment` is added to the child's. Raises `UnreadableArtifact` when the file does
    not load, `ChildDied` when the process dies.
    """
    with start_host(timeout=timeout, environment=environment) as session:
        session.load(path=Path(path), engine=engine, threads=threads, memory=memory)
        yield session


@contextmanager
def start_host(
    *,
    timeout: float = DEFAULT_TIMEOUT,
    environment: Mapping[str, str] | None = None,
    python: str | None = None,
) -> Iterator[HostSession]:
    """Start the child without a file; the session's `load` may be called again and again.

    `python` is another interpreter than this one; it must be able to import `runtime_check`.
    """
    require_limits(timeout, 0)
    command = [python or sys.executable, "-m", "runtime_check.runtimes.child"]
    with start_worker(command, environment={**os.environ, **(environment or {})}) as worker:
        yield HostSession(worker, timeout)
