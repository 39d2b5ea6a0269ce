"""The child side of `host.open_host`: load one lite file and answer frames on stdin/stdout.

Run as `python -m runtime_check.child`. It sets the phone's engine and thread count before
loading, because both decide which kernels run (the Linux wheels default to x86 kernels).
"""

from __future__ import annotations

import os
import sys
import time
from typing import IO, Any

import numpy as np

from .wire import read_frame, write_frame


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


def _limit_memory(limit_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no rlimits; the time limit still holds there.
        return
    # Beyond what is mapped now: torch's libraries alone map gigabytes.
    mapped = 0
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  not a path to keep
            mapped = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return  # macOS: RLIMIT_AS is not enforced there, so there is nothing to set
    resource.setrlimit(resource.RLIMIT_AS, (mapped + limit_bytes, mapped + limit_bytes))


def _peak_bytes() -> int:
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def serve(source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer `load` and `forward` frames until the pipe closes."""
    import warnings

    warnings.simplefilter("ignore")
    import torch
    from torch.jit import mobile

    load: Any = mobile._load_for_lite_interpreter  # untyped in torch
    module: Any = None
    limited = False
    while True:
        try:
            header, tensors = read_frame(source)
        except EOFError:
            return
        try:
            if header["do"] == "load":
                torch.set_num_threads(int(header["threads"]))
                torch.backends.quantized.engine = str(header["engine"])
                if header["memory"] and not limited:
                    limited = True  # a limit once set cannot be raised, nor need it
                    _limit_memory(int(header["memory"]))
                module = None  # freed first: two models would count twice against the limit
                started = time.perf_counter()
                module = load(str(header["path"]))
                seconds = time.perf_counter() - started
                write_frame(sink, {"ok": True, "seconds": seconds, "peak": _peak_bytes()}, [])
            else:
                torch.set_num_threads(int(header["threads"]))
                inputs = [torch.from_numpy(t.copy()) for t in tensors]
                seconds_each = []
                with torch.inference_mode():
                    for _ in range(max(1, int(header["repeats"]))):
                        started = time.perf_counter()
                        result = module(*inputs)
                        seconds_each.append(time.perf_counter() - started)
                answer = {"ok": True, "seconds": seconds_each, "peak": _peak_bytes()}
                write_frame(sink, answer, _flatten(result))
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
