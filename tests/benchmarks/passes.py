"""Measure what each pass is worth: export without it, and count the phone's instructions.

    python -m tests.benchmarks.passes

One export with every pass, then one without each; ARM64 instructions of one inference on PyTorch
2.1's build (exact and repeatable), how much a modeled second-level cache of a phone's core has to
fetch for it (where a pass is about that), and paired, interleaved milliseconds on this machine,
one thread. Needs `python -m runtime_check device install`; takes ten minutes, most of them in the
cache model. Writes `passes.md` beside this file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import exporter
from exporter.environment import one_thread
from exporter.quiet import quiet
from runtime_check.device.runner import open_runner
from runtime_check.runtimes.lite import load_lite, quantized_engine

HERE = Path(__file__).parent
# Model, quantization, whether to model a cache, passes to leave out one by one.
CASES = (
    (
        "deit_tiny_patch16_224",
        "none",
        False,
        (
            "keep-read-tokens",
            "fold-scales",
            "fold-positions",
            "fuse-attention",
            "channels-last",
            "in-place-activations",
        ),
    ),
    ("deit_tiny_patch16_224", "static", False, ("cheap-activations",)),
    (
        "tf_efficientnet_lite0",
        "none",
        True,
        ("channels-last", "flip-same-padding", "split-wide-layers"),
    ),
    ("tf_efficientnet_lite0", "static", False, ("flip-same-padding",)),
    ("vit_small_patch16_224", "none", True, ("split-wide-layers",)),
)
# A Cortex-A76 has 256 or 512 KiB of its own, an A55 less, an X1 1 MiB.
_CACHE_BYTES = 512 * 1024
_LINE_BYTES = 64
_ROUNDS = 15


def _export(name: str, method: str, without: tuple[str, ...], folder: Path) -> Path:
    artifact = exporter.export(
        name, out=folder, input="tensor", random_weights="lite0" not in name, verify=False,
        disable=without, quantize=method, calibration="noise" if method == "static" else None,
    )  # fmt: skip
    return artifact.path


def _count(path: Path, x: torch.Tensor, cache: int) -> tuple[int, int]:
    """Return the instructions of one inference, and the bytes fetched from beyond a cache."""
    with open_runner("arm64-2.1.0", count=True, cache=cache, timeout=1800) as device:
        device.load(path)
        answer = device.forward([np.asarray(x)], repeats=2)
        return answer.instructions or 0, _LINE_BYTES * (answer.cache_misses or 0)


def _milliseconds(paths: list[Path], x: torch.Tensor) -> list[list[float]]:
    with quantized_engine(), one_thread(), quiet(), torch.no_grad():
        modules = [load_lite(path) for path in paths]
        times: list[list[float]] = [[] for _ in modules]
        for turn in range(-2, _ROUNDS):
            shift = turn % len(modules)
            order = [*range(shift, len(modules)), *range(shift)]
            for index in order:
                started = time.perf_counter()
                modules[index](x)
                if turn >= 0:
                    times[index].append(1e3 * (time.perf_counter() - started))
    return times


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and write it beside this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.parse_args(arguments)
    torch.manual_seed(0)
    x = torch.randn(1, 3, 224, 224)
    out = [
        "# What each pass is worth",
        "",
        "Above 1: without the pass it takes longer. MB fetched: what a model of a phone core's "
        f"cache ({_CACHE_BYTES // 1024} KiB, 8 ways) takes from farther away in one inference. "
        "`python -m tests.benchmarks.passes`.",
        "",
        "| model | int8 | without | M ARM64 instructions | / with all | MB fetched | / with all "
        "| ms here / with all |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, method, cached, passes in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            variants: list[tuple[str, ...]] = [(), *((p,) for p in passes)]
            paths = [
                _export(name, method, without, Path(scratch) / str(index))
                for index, without in enumerate(variants)
            ]
            counts = [_count(path, x, _CACHE_BYTES * cached) for path in paths]
            times = _milliseconds(paths, x)
        for without, (count, fetched), own in zip(variants, counts, times, strict=True):
            fetches = f"{fetched / 1e6:.0f} | {fetched / counts[0][1]:.2f}" if cached else " | "
            ratio = statistics.median(a / b for a, b in zip(own, times[0], strict=True))
            out.append(
                f"| {name} | {method} | {', '.join(without) or 'nothing'} | {count / 1e6:.1f} | "
                f"{count / counts[0][0]:.3f} | {fetches} | {ratio:.2f} |"
            )
            print(out[-1], flush=True)
    (HERE / "passes.md").write_text("\n".join(out) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
