"""Run a `.ptl` in a fresh process on this machine's torch, with the phone's engine.

The native loader is C++ reading untrusted bytes: a crash, a hang or a flood of memory stays in
the child and comes back as an error with a sentence.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import RuntimeCheckError, UnreadableArtifact
from ..options import DEFAULT_MEMORY, DEFAULT_TIMEOUT
from .frames import write_frame
from .run import ChildDied, ForwardError, Run
from .translate import translate
from .worker import NoAnswer, ask, start_worker


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Something else that does a file's job, for comparisons of speed.

    `build` is a `module:function` that the child imports and calls with the `load` frame's header
    (the file's path, the threads, `options`); it returns the peer's `forward` and its version.
    """

    name: str
    build: str
    options: Mapping[str, object]


class HostSession:
    """One file loaded in one child process on this machine's torch: a `Runtime`."""

    name = "host"
    costly = False

    def __init__(self, process: subprocess.Popen[bytes], timeout: float) -> None:
        self._process = process
        self._path = Path()
        self.engine = ""
        self._timeout = timeout
        self.load_seconds = 0.0
        self.load_peak_bytes = 0
        self.version = ""  # of torch, or of the peer
        self.before_bytes = 0  # memory before loading: torch itself

    def _ask(
        self, header: dict[str, Any], tensors: list[np.ndarray]
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        try:
            return ask(
                self._process,
                lambda stdin: write_frame(stdin, header, tensors),
                timeout=self._timeout,
            )
        except NoAnswer as error:
            doing = "loading" if header["do"] == "load" else "running"
            if error.expired:
                raise ChildDied(
                    f"{self._path}: still {doing} after {self._timeout:.0f} s, so it was stopped. "
                    "The file may be hostile, or the model larger than this limit allows.",
                    cause="hung",
                ) from error
            raise ChildDied(
                f"{self._path}: torch crashed while {doing} it ({error.death}). The crash stayed "
                "in a child process; treat the file as damaged or hostile.",
                cause="crashed",
            ) from error

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

        `peer` runs instead of the file.
        """
        self._path, self.engine = path, engine
        header = {
            "do": "load",
            "path": str(self._path),
            "engine": engine,
            "threads": threads,
            "memory": memory,
            "build": "" if peer is None else peer.build,
            **({} if peer is None else peer.options),
        }
        answer, _ = self._ask(header, [])
        if not answer["ok"] and peer is not None:
            raise RuntimeCheckError(f"{peer.name} cannot run it: {translate(answer['error'])}.")
        if not answer["ok"]:
            raise UnreadableArtifact(
                f"{self._path} does not load in the lite interpreter: {translate(answer['error'])}."
            )
        self.load_seconds = float(answer["seconds"])
        self.load_peak_bytes = int(answer["peak"])
        self.before_bytes = int(answer["before"])
        self.version = str(answer["version"])

    @property
    def description(self) -> str:
        """Name the runtime for a report, as 'torch 2.12.1 on x86_64'."""
        return f"torch {self.version} on {platform.machine()}"

    def forward(self, inputs: Sequence[np.ndarray], *, threads: int = 1, repeats: int = 1) -> Run:
        """Run `forward(*inputs)` `repeats` times; raise `ForwardError` when it raises."""
        header = {"do": "forward", "threads": threads, "repeats": repeats}
        answer, outputs = self._ask(header, [np.asarray(value) for value in inputs])
        if not answer["ok"]:
            raise ForwardError(f"{self._path}: forward failed: {translate(answer['error'])}.")
        return Run(
            outputs=outputs,
            seconds=tuple(float(s) for s in answer["seconds"]),
            peak_bytes=int(answer["peak"]),
        )


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
    command = [python or sys.executable, "-m", "runtime_check.runtimes.child"]
    errors: IO[bytes]
    with (
        tempfile.TemporaryFile() as errors,
        start_worker(
            command, environment={**os.environ, **(environment or {})}, errors=errors
        ) as process,
    ):
        yield HostSession(process, timeout)
