"""The child side of `host.start_host`: load one file and answer frames on stdin/stdout.

Run as `python -m runtime_check.runtimes.child`. It sets the phone's engine and thread count before
loading, because both decide which kernels run (the Linux wheels default to x86 kernels).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from .frames import read_frame, write_frame

Forward = Callable[[list[np.ndarray]], list[np.ndarray]]


def _flatten(value: Any) -> list[np.ndarray]:
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_quantized:
            value = value.dequantize()
        return [value.detach().contiguous().numpy()]
    if isinstance(value, dict):
        return [array for item in value.values() for array in _flatten(item)]
    if isinstance(value, (tuple, list)):
        return [array for item in value for array in _flatten(item)]
    raise TypeError(f"forward returned a {type(value).__name__}, which is no tensor")


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


def _load_lite(header: dict[str, Any]) -> Forward:
    import torch
    from torch.jit import mobile

    torch.backends.quantized.engine = str(header["engine"])
    load: Any = mobile._load_for_lite_interpreter  # untyped in torch
    module = load(str(header["path"]))

    def forward(inputs: list[np.ndarray]) -> list[np.ndarray]:
        with torch.inference_mode():
            return _flatten(module(*(torch.from_numpy(array) for array in inputs)))

    return forward


def _load_peer(header: dict[str, Any]) -> Forward:
    from ..bench import peers

    return peers.load(header)


def _version(peer: str) -> str:
    from importlib.metadata import version

    from ..bench.peers import package

    return version(package(peer))


def serve(source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer `load` and `forward` frames until the pipe closes."""
    import warnings

    warnings.simplefilter("ignore")
    import torch

    forward: Forward | None = None
    limited = False
    while True:
        try:
            header, tensors = read_frame(source)
        except EOFError:
            return
        try:
            torch.set_num_threads(int(header["threads"]))
            if header["do"] == "load":
                if header["memory"] and not limited:
                    limited = True  # a limit once set cannot be raised, nor need it
                    _limit_memory(int(header["memory"]))
                forward = None  # freed first: two models would count twice against the limit
                _reset_peak()
                before = _status_bytes("VmRSS")
                started = time.perf_counter()
                forward = (_load_lite if header["peer"] == "lite" else _load_peer)(header)
                seconds = time.perf_counter() - started
                loaded = {
                    "seconds": seconds,
                    "peak": _peak_bytes(),
                    "before": before,
                    "version": _version(str(header["peer"])),
                }
                write_frame(sink, {"ok": True, **loaded}, [])
            else:
                assert forward is not None
                inputs = [tensor.copy() for tensor in tensors]  # frames are read-only
                seconds_each, outputs = [], []
                for _ in range(max(1, int(header["repeats"]))):
                    started = time.perf_counter()
                    outputs = forward(inputs)
                    seconds_each.append(time.perf_counter() - started)
                ran = {"seconds": seconds_each, "peak": _peak_bytes()}
                write_frame(sink, {"ok": True, **ran}, outputs)
        except Exception as error:  # noqa: BLE001  every failure of the file is an answer
            kind = type(error).__name__
            write_frame(sink, {"ok": False, "kind": kind, "error": str(error)}, [])


def main() -> None:
    """Serve on stdin/stdout; anything libraries print goes to stderr, out of the protocol."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
