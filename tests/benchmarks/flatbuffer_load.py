"""Load a model file and run it once: what `tests.benchmarks.flatbuffer` does in a fresh process.

python -m tests.benchmarks.flatbuffer_load lite|onnxruntime FILE
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.memory import forget_peak, memory

SHAPE = (1, 3, 224, 224)
ONNX = "onnxruntime"


def load_lite(path: Path) -> dict[str, Any]:
    """Load a lite file here, run it once, and return seconds, memory and the output's digest."""
    import torch

    from exporter.quiet import quiet
    from runtime_check.runtimes import lite

    torch.set_num_threads(1)
    values = torch.arange(torch.Size(SHAPE).numel(), dtype=torch.float32)
    ramp = values.remainder(255).div(255).reshape(SHAPE)
    with lite.quantized_engine(), quiet(), torch.inference_mode():
        forget_peak()
        before, started = memory(), time.perf_counter()
        module = lite.load_lite(path)
        seconds, loaded = time.perf_counter() - started, memory()
        started = time.perf_counter()
        output = module(ramp)
        first, ran = time.perf_counter() - started, memory()
    digest = hashlib.sha256(output.contiguous().numpy().tobytes()).hexdigest()
    return _measured(before, loaded, ran, seconds, first, digest)


def load_onnx(path: Path) -> dict[str, Any]:
    """Do the same with ONNX Runtime."""
    import numpy as np

    onnxruntime: Any = importlib.import_module(ONNX)  # optional, and untyped
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    ramp = (np.arange(np.prod(SHAPE), dtype=np.float32) % 255 / 255).reshape(SHAPE)
    forget_peak()
    before, started = memory(), time.perf_counter()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    seconds, loaded = time.perf_counter() - started, memory()
    started = time.perf_counter()
    session.run(None, {session.get_inputs()[0].name: ramp})
    first, ran = time.perf_counter() - started, memory()
    return _measured(before, loaded, ran, seconds, first, "")


def _measured(
    before: Mapping[str, int],
    loaded: Mapping[str, int],
    ran: Mapping[str, int],
    load: float,
    first: float,
    digest: str,
) -> dict[str, Any]:
    return {
        "before": before, "loaded": loaded, "ran": ran,
        "load": load, "first": first, "digest": digest,
    }  # fmt: skip


LOADERS: dict[str, Callable[[Path], dict[str, Any]]] = {"lite": load_lite, ONNX: load_onnx}


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the file and print what it cost, as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=list(LOADERS))
    parser.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    print(json.dumps(LOADERS[options.kind](options.file)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
