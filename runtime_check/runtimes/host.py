"""Run a `.ptl` in a fresh process on this machine's torch, with the phone's engine.

The native loader is C++ reading untrusted bytes: a crash, a hang or a flood of memory stays in
the child and comes back as an error with a sentence.
"""

from __future__ import annotations

import os
import re
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
from .frames import write_frame
from .worker import NoAnswer, ask, start_worker

DEFAULT_TIMEOUT = 300.0
DEFAULT_MEMORY = 8 * 2**30

# What torch says -> what it means. Each pattern was matched against the real message of torch
# 2.12.1 or 2.1.0 (tests/runtime_check/test_host.py provokes them); `{0}` is the first group.
_TRANSLATIONS = (
    (
        r"isGenericDict\(\)",
        "it holds objects of a class that this torch does not have. Prepacked XNNPACK weights, "
        "which optimize_for_mobile makes, need a torch built with XNNPACK: on Linux 2.12 or older",
    ),
    (
        r"Following ops cannot be found: \[?([^\]\n]*)",
        "it calls operators that this runtime does not have ({0}). Export it for this runtime "
        "(`--runtime`)",
    ),
    (
        r"Lite Interpreter version number does not match\. ([^()\n]*)",
        "its bytecode version is outside what this runtime reads ({0}). Export it for this "
        "runtime (`--runtime`)",
    ),
    (
        r"Attempted to read a PyTorch file with version (\d+), but the maximum",
        "its archive format {0} is newer than this torch reads",
    ),
    (
        r"PytorchStreamReader failed locating file ([^:]*)",
        "the archive has no record {0}, so it is no lite-interpreter file, or it is damaged",
    ),
    (
        r"PytorchStreamReader failed ([^.]*)",
        "the archive is damaged or incomplete ({0})",
    ),
    (
        r"can't allocate memory: you tried to allocate (\d+) bytes|std::bad_alloc",
        "it asked for more memory than it may have ({0} bytes at once). Raise `--memory`, or the "
        "file is hostile",
    ),
    (
        r"quantized engine (\w+) is not supported|Didn't find engine for operation (\S+)",
        "it is quantised, and this torch has no quantised engine for it ({0})",
    ),
    (
        r"(quantized::\w+) \(ONEDNN\)",
        "it was quantised for phones (QNNPACK), and {0} ran on a server's engine: set "
        "torch.backends.quantized.engine = 'qnnpack' before loading",
    ),
    (
        r"XNNPACK (\w+) not usable",
        "the input's dtype or shape is not what XNNPACK's {0} was prepared for",
    ),
)


class ChildDied(RuntimeCheckError):
    """The process that ran the file crashed, or was stopped at its time limit (`expired`)."""

    def __init__(self, message: str, *, expired: bool) -> None:
        super().__init__(message)
        self.expired = expired


class ForwardError(RuntimeCheckError):
    """`forward` raised for this input."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one input gave: outputs in order, wall seconds of each repeat, peak bytes so far."""

    outputs: list[np.ndarray]
    seconds: tuple[float, ...]
    peak_bytes: int


def translate(error: str) -> str:
    """Turn torch's first lines into a sentence; unknown ones are passed on, shortened."""
    for pattern, meaning in _TRANSLATIONS:
        found = re.search(pattern, error)
        if found:
            group = next((text for text in found.groups() if text), "an unknown number of")
            return meaning.format(group.strip())
    # The lite interpreter appends handles for a debugger that phones' files do not carry.
    plain = error.split("Debug info for handle(s)")[0]
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return " ".join(lines[:3])[:500].rstrip(".") or "torch gave no reason"


class HostSession:
    """One file loaded in one child. Made by `open_host`."""

    def __init__(self, process: subprocess.Popen[bytes], timeout: float) -> None:
        self._process = process
        self._path = Path()
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
                    expired=True,
                ) from error
            raise ChildDied(
                f"{self._path}: torch crashed while {doing} it ({error.death}). The crash stayed "
                "in a child process; treat the file as damaged or hostile.",
                expired=False,
            ) from error

    def load(
        self,
        *,
        path: Path,
        engine: str,
        threads: int,
        memory: int,
        peer: str = "lite",
        options: Mapping[str, object] | None = None,
    ) -> None:
        """Load a file, in place of the one before; raise `UnreadableArtifact` with the reason.

        `peer` runs what `peers` builds from the file's provenance instead of the file.
        """
        self._path = path
        header = {
            "do": "load",
            "path": str(self._path),
            "engine": engine,
            "threads": threads,
            "memory": memory,
            "peer": peer,
            **(options or {}),
        }
        answer, _ = self._ask(header, [])
        if not answer["ok"] and peer != "lite":
            raise RuntimeCheckError(f"{peer} cannot run it: {translate(answer['error'])}.")
        if not answer["ok"]:
            raise UnreadableArtifact(
                f"{self._path} does not load in the lite interpreter: {translate(answer['error'])}."
            )
        self.load_seconds = float(answer["seconds"])
        self.load_peak_bytes = int(answer["peak"])
        self.before_bytes = int(answer["before"])
        self.version = str(answer["version"])

    def set_timeout(self, seconds: float) -> None:
        """Change how long one answer may take."""
        self._timeout = seconds

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
