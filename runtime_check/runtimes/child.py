"""The child side of `host.start_host`: load one file and answer frames on stdin/stdout.

Run as `python -m runtime_check.runtimes.child`. It sets the phone's engine and thread count before
loading, because both decide which kernels run (the Linux wheels default to x86 kernels).
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import sys
import time
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from ..errors import RuntimeCheckError
from .answers import MAX_TEXT
from .frames import MAX_ANSWER_BYTES, read_frame, unsendable, write_frame

Header = dict[str, Any]
Forward = Callable[[list[np.ndarray]], list[np.ndarray]]
Builder = Callable[[Header], tuple[Forward, str]]  # what a `load` frame names, and its version


def _status_bytes(field: str) -> int:
    """Read a memory field of /proc/self/status; 0 where there is none."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123  not a path to keep
            for line in status:
                if line.startswith(f"{field}:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _limit_memory(limit_bytes: int) -> None:
    mapped = _status_bytes("VmSize")
    if not mapped:
        return  # macOS does not enforce RLIMIT_AS and Windows has none; the time limit holds
    import resource

    # Beyond what is mapped now: torch's libraries alone map gigabytes.
    resource.setrlimit(resource.RLIMIT_AS, (mapped + limit_bytes, mapped + limit_bytes))


def _reset_peak() -> None:
    """Forget the peak of importing torch, where the kernel allows it."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as control:  # noqa: PTH123  as above
            control.write("5")
    except OSError:
        pass


def _peak_bytes() -> int:
    peak = _status_bytes("VmHWM")
    if peak:
        return peak
    try:
        import resource
    except ImportError:
        return 0
    # Bytes on macOS, the only system without /proc that has this module and matters here.
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _build_lite(header: Header) -> tuple[Forward, str]:
    """Load the lite file named in the frame; returns its `forward` and torch's version."""
    import torch

    from ..outputs import flatten
    from .lite import load_lite

    # For good: this process runs nothing else.
    torch.backends.quantized.engine = str(header["engine"])
    module = load_lite(str(header["path"]))

    def forward(inputs: list[np.ndarray]) -> list[np.ndarray]:
        with torch.inference_mode():
            outputs = flatten(module(*(torch.from_numpy(array) for array in inputs)))
            # Before they are copied: a tensor may be many views of a few bytes.
            _require_small(sum(tensor.numel() * tensor.element_size() for tensor in outputs))
            return [tensor.detach().contiguous().numpy() for tensor in outputs]

    return forward, str(torch.__version__)


def _build_program(header: Header) -> tuple[Forward, str]:
    """Load the ExecuTorch program named in the frame."""
    import torch

    from .program import executorch_version, load_program

    run = load_program(str(header["path"]), threads=int(header["threads"]))

    def forward(inputs: list[np.ndarray]) -> list[np.ndarray]:
        with torch.inference_mode():
            outputs = run([torch.from_numpy(array) for array in inputs])
            return [tensor.detach().contiguous().numpy() for tensor in outputs]

    return forward, executorch_version()


def _build_file(header: Header) -> tuple[Forward, str]:
    """Load a file in the runtime that its first bytes are for."""
    from ..artifact.program import is_pte

    return (_build_program if is_pte(str(header["path"])) else _build_lite)(header)


def _require_small(size: int) -> None:
    """Refuse outputs that nobody could look at: a property compares those of some 20 inputs."""
    if size > MAX_ANSWER_BYTES:
        raise ValueError(
            f"its outputs take {size} bytes, and at most {MAX_ANSWER_BYTES} are looked at. The "
            "file may be hostile; a model that means it can be run on a smaller input"
        )


def _builder(name: str) -> Builder:
    """Import what a frame names as `module:function`; "" means a file in its own runtime."""
    if not name:
        return _build_file
    module, _, function = name.partition(":")
    builder: Builder = getattr(importlib.import_module(module), function)
    return builder


class _Server:
    """What the child holds between frames: the loaded file, and the limit once it is set."""

    def __init__(self) -> None:
        self._forward: Forward | None = None
        self._limited = False

    def load(self, header: Header) -> Header:
        """Build what the frame names, in place of what was there; returns the load figures."""
        if header["memory"] and not self._limited:
            self._limited = True  # a limit once set cannot be raised, nor need it
            _limit_memory(int(header["memory"]))
        builder = _builder(str(header["build"]))
        self._forward = None  # freed first: two models would count twice against the limit
        _reset_peak()
        before = _status_bytes("VmRSS")
        started = time.perf_counter()
        self._forward, version = builder(header)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "peak": _peak_bytes(), "before": before, "version": version}

    def run(self, header: Header, tensors: list[np.ndarray]) -> tuple[Header, list[np.ndarray]]:
        """Run the inputs as often as the frame says; returns the figures and the last outputs."""
        assert self._forward is not None
        inputs = [tensor.copy() for tensor in tensors]  # frames are read-only
        seconds, outputs = [], []
        for _ in range(max(1, int(header["repeats"]))):
            started = time.perf_counter()
            outputs = self._forward(inputs)
            seconds.append(time.perf_counter() - started)
        _require_small(sum(array.nbytes for array in outputs))
        if reason := unsendable(outputs):
            raise ValueError(f"forward returns {reason}, which is not looked at")
        return {"seconds": seconds, "peak": _peak_bytes()}, outputs


def _reason(error: Exception) -> str:
    """Return what an error says, and its type where it says nothing."""
    text = str(error)[:MAX_TEXT]
    return text if text and not isinstance(error, MemoryError) else f"{type(error).__name__} {text}"


def serve(source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer `load` and `forward` frames until the pipe closes."""
    import warnings

    warnings.simplefilter("ignore")
    import torch

    server = _Server()
    while True:
        try:
            header, tensors = read_frame(source)
        except EOFError:
            return
        outputs: list[np.ndarray] = []
        # The parent has the same limit and less patience; this one holds without it. It needs
        # nothing of Python, whose lock torch holds while a file runs.
        faulthandler.dump_traceback_later(float(header["limit"]), exit=True)
        try:
            torch.set_num_threads(int(header["threads"]))
            if header["do"] == "load":
                answer = server.load(header)
            else:
                answer, outputs = server.run(header, tensors)
        except Exception as error:  # noqa: BLE001  every failure of the file is an answer
            ours = isinstance(error, RuntimeCheckError)
            answer, outputs = {"error": _reason(error), "ours": ours}, []
        faulthandler.cancel_dump_traceback_later()
        write_frame(sink, {"ok": "error" not in answer, **answer}, outputs)


def main() -> None:
    """Serve on stdin/stdout; anything libraries print goes to stderr, out of the protocol."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
