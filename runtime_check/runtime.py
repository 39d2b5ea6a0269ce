"""One way to run a file, wherever: on this machine's torch, or on a device runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from .device.runner import open_runner
from .options import DEFAULT_MEMORY, DEFAULT_TIMEOUT
from .runtimes.host import open_host
from .runtimes.run import Run

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
