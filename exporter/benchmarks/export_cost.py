"""Measure what an export costs: wall time by step, and peak memory above the imports.

    python -m exporter.benchmarks.export_cost [MODEL ...]

Each export runs in a fresh process, on one thread, with and without verification in turn
(interleaved, so that a slow minute of the machine falls on both); medians of the rounds. Peak
memory is the process's own peak resident size less its size after the imports, against the bytes
of the weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MODELS = ("deit_tiny_patch16_224", "deit_base_patch16_224", "tf_efficientnet_lite0")
HERE = Path(__file__).parent


def _resident() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    return 0


def _peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def export_once(name: str, verified: bool) -> dict[str, Any]:
    """Export `name` here and return seconds by step and bytes."""
    import time

    import timm.data  # noqa: F401  the imports a user pays once, whatever the model
    import torch  # noqa: F401

    import exporter

    before = _resident()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        artifact = exporter.export(
            name, out=folder, random_weights=name.startswith("deit"), verified=verified
        )
        total = time.perf_counter() - started
    weights = sum(row.bytes for row in artifact.report.layers)
    steps: dict[str, float] = {}
    for step in artifact.report.steps:
        steps[step.name] = steps.get(step.name, 0.0) + step.seconds
    return {"total": total, "steps": steps, "weights": weights, "peak": _peak() - before}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and write `export_cost.md` beside this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", metavar="MODEL")
    parser.add_argument("--no-verify", action="store_true")
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(export_once(options.one, not options.no_verify)))
        return 0
    out = [
        "# What an export costs",
        "",
        f"Medians of {options.rounds} rounds, one thread, a fresh process each; "
        "`python -m exporter.benchmarks.export_cost`.",
        "",
        "| model | weights MB | with verify s | without s | building the model s "
        "| peak MB above imports | peak / weights |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    details = []
    for model in options.models:
        runs: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
        for _ in range(options.rounds):
            for verified in (True, False):
                command = [sys.executable, "-m", "exporter.benchmarks.export_cost", "--one", model]
                command += [] if verified else ["--no-verify"]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                runs[verified].append(json.loads(done.stdout.splitlines()[-1]))
        full, bare = runs[True], runs[False]
        steps = {
            name: statistics.median(r["steps"].get(name, 0.0) for r in full)
            for name in full[0]["steps"]
        }
        weights = full[0]["weights"] / 1e6
        peak = statistics.median(r["peak"] for r in bare + full) / 1e6
        out.append(
            f"| {model} | {weights:.1f} | {statistics.median(r['total'] for r in full):.1f} | "
            f"{statistics.median(r['total'] for r in bare):.1f} | {steps['source']:.1f} | "
            f"{peak:.0f} | {peak / weights:.2f} |"
        )
        listed = ", ".join(f"{name} {seconds:.2f}" for name, seconds in steps.items())
        details.append(f"- {model}, seconds by step: {listed}")
        print(out[-1], flush=True)
    (HERE / "export_cost.md").write_text("\n".join([*out, "", *details]) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
