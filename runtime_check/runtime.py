"""One way to run a file, wherever: on this machine's torch, or on a device runtime."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np

from .artifact.archive import ArtifactFile, read_artifact
from .device.runner import open_runner
from .errors import RuntimeCheckError
from .options import DEFAULT_MEMORY, DEFAULT_TIMEOUT
from .runtimes.host import open_host
from .runtimes.run import ChildDied, OutOfTime, Run
from .signing import read_public_key
from .snapshot import Snapshot, snapshot

HOST = "host"


class Runtime(Protocol):
    """A file loaded in a process of its own, ready to run.

    `name` is what `--run-on` takes, `description` and `engine` are for reports. A `costly` runtime
    takes seconds an input (emulation): draw few inputs, shrink little, use one thread.
    `load_peak_bytes` is 0 where it is not measured.
    """

    @property
    def name(self) -> str: ...  # noqa: D102  described above

    @property
    def description(self) -> str: ...  # noqa: D102  described above

    @property
    def engine(self) -> str: ...  # noqa: D102  described above

    @property
    def costly(self) -> bool: ...  # noqa: D102  described above

    @property
    def load_seconds(self) -> float: ...  # noqa: D102  described above

    @property
    def load_peak_bytes(self) -> int: ...  # noqa: D102  described above

    def forward(self, inputs: Sequence[np.ndarray], *, threads: int = 1, repeats: int = 1) -> Run:
        """Run `forward(*inputs)` `repeats` times.

        Raises `ForwardError` when it raises and `ChildDied` when the process dies or hangs.
        """
        ...


@contextmanager
def open_runtime(
    name: str,
    path: Path | str,
    *,
    timeout: float = DEFAULT_TIMEOUT,
    memory: int = DEFAULT_MEMORY,
    count: bool = False,
) -> Iterator[Runtime]:
    """Load `path` in a fresh process: `host` is this torch, others are device runtimes.

    `timeout` is seconds for one answer, `memory` bytes beyond what the libraries map (0: no
    limit). `count` counts instructions, on device runtimes that can. Raises `UnreadableArtifact`
    when the file does not load, `ChildDied` when the process dies, and `DeviceUnavailable` or
    `UnknownRuntime` when the runtime is not there.
    """
    if name == HOST:
        with open_host(path, timeout=timeout, memory=memory) as host:
            yield host
        return
    with open_runner(name, timeout=timeout, memory=memory, count=count) as device:
        device.load(path)
        yield device


class Supervised:
    """A runtime that is started again when its process has died; deaths are counted, never hidden.

    `start` loads the file in a fresh process. What it raises the first time comes out of `with`;
    later it comes out of `forward`, as the death itself did before. `deadline` is seconds from now
    for all answers together: a file that always answers just in time would never end. In messages
    the path in `hidden`, of a private copy, is replaced by the one in `shown`.
    """

    def __init__(
        self,
        start: Callable[[], AbstractContextManager[Runtime]],
        *,
        deadline: float = math.inf,
        hidden: Path | str = "",
        shown: Path | str = "",
    ) -> None:
        self._deadline = deadline
        self._ends = time.monotonic() + deadline
        self._start = start
        self._names = (str(hidden), str(shown))
        self._stack = ExitStack()
        self._runtime: Runtime | None = None
        self.deaths = 0

    def __enter__(self) -> Supervised:
        runtime = self._opened()
        self.name = runtime.name
        self.engine = runtime.engine
        self.description = runtime.description
        self.costly = runtime.costly
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _opened(self) -> Runtime:
        if self._runtime is None:
            with shown_as(*self._names):
                self._runtime = self._stack.enter_context(self._start())
        return self._runtime

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() > self._ends

    def require_time(self) -> None:
        """Raise `OutOfTime` when the deadline has passed."""
        if self.is_late:
            raise OutOfTime(
                f"{self._names[1]}: its answers took more than {self._deadline:g} s together, so "
                "it was not asked again (`--deadline`)."
            )

    def forward(self, inputs: Sequence[np.ndarray], *, threads: int = 1, repeats: int = 1) -> Run:
        """Run `forward(*inputs)` as the runtime does; after a death, in a fresh process.

        Raises as the runtime does, and as loading does where it has to be loaded again; and
        `OutOfTime` past the deadline.
        """
        self.require_time()
        try:
            with shown_as(*self._names):
                return self._opened().forward(inputs, threads=threads, repeats=repeats)
        except ChildDied:
            self.deaths += 1
            self._runtime = None
            self._stack.close()
            raise


@contextmanager
def shown_as(hidden: str, shown: str) -> Iterator[None]:
    """Replace a path in the message of an error that passes."""
    try:
        yield
    except RuntimeCheckError as error:
        error.args = (str(error).replace(hidden, shown) if hidden else str(error),)
        raise


@contextmanager
def read_copy(
    path: Path | str, *, verify_key: str | Path | None = None
) -> Iterator[tuple[ArtifactFile, Snapshot]]:
    """Copy a file where nobody can replace it, and read the copy; it is gone afterwards.

    The artifact still has the path that the person knows, so run the snapshot's: those are the
    bytes that `verify_key` (a line or a file of minisign's) signed. Raises as `read_artifact` does.
    """
    path = Path(path)
    key = None if verify_key is None else read_public_key(verify_key)
    if not path.is_file():
        read_artifact(path)  # which says what it is instead
    with snapshot(path) as copy:
        with shown_as(str(copy.path), str(path)):
            artifact = replace(read_artifact(copy.path, verify_key=key), path=path)
        yield artifact, copy
