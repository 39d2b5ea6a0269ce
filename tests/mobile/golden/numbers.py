"""The best classes, and statistics of benchmarks."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence

import numpy as np

from runtime_check.bench.format import Benchmark, BenchmarkRun, Device, DeviceRuns, Skipped

from .tiny import Json, text


def _spelled(value: float) -> Json:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def rank(scores: Sequence[float], k: int) -> list[int]:
    """Return the indices of the k highest scores; ties go to the lower index, NaN comes last."""
    array = np.array(scores, dtype=np.float32)
    return [int(i) for i in np.argsort(-array, kind="stable")[:k]]


def top_k_vectors() -> dict[str, str]:
    """Scores (float32), k, and the indices of the k highest.

    Ties go to the lower index, NaN comes after every number, k beyond the count gives them all.
    """
    nan, inf = math.nan, math.inf
    inputs: list[tuple[list[float], int]] = [
        ([0.1, 0.7, 0.2], 2),
        ([0.5, 0.5, 0.5, 0.5], 3),
        ([0.25, 0.5, 0.25, 0.5], 4),
        ([nan, 0.5, nan, 0.25], 3),
        ([nan, nan], 2),
        ([-inf, inf, 0.0, nan], 4),
        ([0.0, -0.0, 0.0], 3),
        ([3.0], 5),
        ([], 5),
        ([1.0, 2.0], 0),
        ([-5.0, -1.0, -3.0], 1),
    ]
    values = random.Random(5)
    for count in (6, 50, 1000):
        # A coarse grid, so that ties are common. Sixteenths are exact in float32.
        drawn = [values.randrange(40) / 16 for _ in range(count)]
        inputs.append((drawn, 5))
    vectors = [
        {"scores": [_spelled(s) for s in scores], "k": k, "indices": rank(scores, k)}
        for scores, k in inputs
    ]
    return {"top_k.json": text({"about": top_k_vectors.__doc__, "vectors": vectors})}


def _run(samples: Sequence[float]) -> BenchmarkRun:
    return BenchmarkRun(
        label="tiny.ptl, 1 thread",
        runtime="lite interpreter 2.1.0",
        model="tiny",
        file="tiny.ptl",
        sha256="0" * 64,
        threads=1,
        input_shape=[4, 6, 3],
        samples_ms=list(samples),
        load_ms=12.5,
        first_ms=3.25,
        peak_mb=1.5,
        size_mb=0.001,
    )


def statistics_vectors() -> dict[str, str]:
    """Samples in ms with their median and 95th percentile, as `runtime_check bench` computes them.

    The median of an even count is the mean of the middle two; p95 is the nearest rank: the
    ceil(0.95 n)-th smallest, so always a time that was measured.
    """
    values = random.Random(6)
    lists: list[list[float]] = [[4.0], [2.0, 1.0], [3.0, 1.0, 2.0], [5.0] * 7]
    for count in (19, 20, 21, 39, 40, 41, 100, 101):
        lists.append([round(values.uniform(5, 80), 4) for _ in range(count)])
    vectors = [
        {"samples_ms": s, "median_ms": _run(s).median_ms, "p95_ms": _run(s).p95_ms} for s in lists
    ]
    return {"statistics.json": text({"about": statistics_vectors.__doc__, "vectors": vectors})}


def benchmark_files() -> dict[str, str]:
    """Write one benchmark as an app shares it: what `runtime_check bench --import` reads.

    Of Android's one count of threads was measured, and the other did not run.
    """
    skipped = Skipped(
        label="tiny.ptl, 2 threads",
        reason="Not enough memory for tiny.ptl. Close other apps, or choose a smaller one.",
    )
    devices = [
        Device(platform="ios", model="iPhone15,2", os="iOS 17.5", cpu="arm64", cores=6, app="t 1"),
        Device(
            platform="android", model="Pixel 8", os="Android 15", cpu="arm64", cores=9, app="t 1"
        ),
    ]
    files = {}
    for device in devices:
        runs = [_run([2.5, 2.25, 3.0])]
        left_out = [skipped] if device.platform == "android" else []
        made = Benchmark(devices=[DeviceRuns(device=device, runs=runs, skipped=left_out)])
        files[f"benchmark_{device.platform}.json"] = text(json.loads(made.model_dump_json()))
    return files
