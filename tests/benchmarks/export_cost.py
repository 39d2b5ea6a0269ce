"""Measure what an export costs: wall time by step, and peak memory above the imports.

    python -m tests.benchmarks.export_cost [MODEL ...] [--int8 [IMAGES]]

Each export runs in a fresh process, on one thread. In float32 it runs with and without
verification in turn (interleaved, so that a slow minute of the machine falls on both); with
`--int8` as static int8, verified, calibrated on so many crops of the packaged photos. Medians of
the rounds. Peak memory is the process's peak resident size less its size after the imports,
against the bytes of the weights. An int8 export also tells each step's peak, and which lines copied
a module or its weights (`copy.deepcopy`; what torch copies in C++ shows in the peaks alone). One
more int8 export, not among the rounds, runs under a profiler that says which of the quantizer's
functions the time goes to. Writes `export_cost.json` and `export_cost.md` beside this file; models
measured before keep their rows.
"""

from __future__ import annotations

import argparse
import copy
import cProfile
import json
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.memory import PEAK, RESIDENT, forget_peak, memory

if TYPE_CHECKING:
    from torch import Tensor

MODELS = ("deit_tiny_patch16_224", "deit_base_patch16_224", "tf_efficientnet_lite0")
INT8_MODELS = ("deit_base_patch16_224",)
HERE = Path(__file__).parent
_IMAGES = 32
_DEAREST = 10  # functions told of the profiled export


# --- the fresh process ---------------------------------------------------------------------------


@dataclass
class Copies:
    """What `copy.deepcopy` copied: one entry for each outermost call that met weights."""

    made: list[dict[str, Any]] = field(default_factory=list)
    step: str = ""


def _weights(thing: Any) -> list[Tensor]:
    """Return the tensors of a module or a state dict; none of everything else."""
    from torch import Tensor, nn

    if isinstance(thing, nn.Module):
        return [*thing.parameters(), *thing.buffers()]
    if isinstance(thing, dict):
        return [value for value in thing.values() if isinstance(value, Tensor)]
    return []


def _copied_bytes(original: Any, copied: Any) -> int:
    """Count the bytes that the copy does not share with what it was made from."""
    shared = {t.data_ptr() for t in _weights(original)}
    return sum(t.nbytes for t in _weights(copied) if t.data_ptr() not in shared)


@contextmanager
def counted_copies() -> Iterator[Copies]:
    """Note every deep copy of weights made inside, and who asked for it."""
    copies, original, depth = Copies(), copy.deepcopy, 0

    def deepcopy(x: Any, memo: Any = None, *rest: Any) -> Any:
        nonlocal depth
        depth += 1
        try:
            copied = original(x, memo, *rest)
        finally:
            depth -= 1
        size = 0 if depth else _copied_bytes(x, copied)
        if size:
            caller = sys._getframe(1)
            copies.made.append(
                {
                    "step": copies.step,
                    "where": f"{Path(caller.f_code.co_filename).name}:{caller.f_lineno}",
                    "function": caller.f_code.co_name,
                    "bytes": size,
                }
            )
        return copied

    copy.deepcopy = deepcopy  # type: ignore[assignment]  # one that counts, of looser type
    try:
        yield copies
    finally:
        copy.deepcopy = original


def _functions(profile: cProfile.Profile) -> list[dict[str, Any]]:
    """Return the dearest functions of the quantizer, callees included; the whole step first."""
    stats: Any = pstats.Stats(profile)
    found = [
        {"function": f"{Path(file).name}:{line} {name}", "seconds": row[3], "calls": row[1]}
        for (file, line, name), row in stats.stats.items()
        if Path(file).parent.name == "quantize"
    ]
    return sorted(found, key=lambda row: -row["seconds"])[:_DEAREST]


def export_once(
    name: str, *, verify: bool, calibration: Path | None = None, profiled: bool = False
) -> dict[str, Any]:
    """Export `name` here and return seconds, peaks by step and copies; int8 with `calibration`."""
    import timm.data  # noqa: F401  the imports a user pays once, whatever the model
    import torch  # noqa: F401

    import exporter

    profile = cProfile.Profile()
    forget_peak()
    before = memory()[RESIDENT]
    peaks: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, counted_copies() as copies:

        def settle() -> None:
            # The peak of the step that ends now; the next one starts its own.
            peaks[copies.step] = max(peaks.get(copies.step, 0), memory()[PEAK] - before)
            forget_peak()

        def on_step(step: str) -> None:
            settle()
            copies.step = step

        started = time.perf_counter()
        with profile if profiled else nullcontext():
            artifact = exporter.export(
                name, out=folder, random_weights=name.startswith(("deit", "vit")),
                verify=verify, on_step=on_step,
                quantize="none" if calibration is None else "static", calibration=calibration,
            )  # fmt: skip
        total = time.perf_counter() - started
        settle()
    assert artifact.report is not None  # an export has one
    weights = sum(row.bytes for row in artifact.report.layer_types)
    steps: dict[str, float] = {}
    for step in artifact.report.steps:
        steps[step.name] = steps.get(step.name, 0.0) + step.seconds
    return {
        "total": total,
        "steps": steps,
        "weights": weights,
        "peak": max(peaks.values()),
        "peaks": {step: peak for step, peak in peaks.items() if step},
        "copies": copies.made,
        "functions": _functions(profile) if profiled else [],
    }


# --- the rounds ----------------------------------------------------------------------------------


def write_crops(folder: Path, count: int) -> None:
    """Write `count` crops of the packaged photos, each another place and size, as PNG files."""
    import numpy as np
    from PIL import Image

    from exporter.image.samples import PHOTOS, photo

    random = np.random.default_rng(0)
    for index in range(count):
        pixels = photo(PHOTOS[index % len(PHOTOS)])
        side = int(min(pixels.shape[:2]) * random.uniform(0.5, 1.0))
        top, left = (int(random.integers(0, n - side + 1)) for n in pixels.shape[:2])
        crop = Image.fromarray(pixels[top : top + side, left : left + side])
        crop.save(folder / f"{index:04}.png")


def _fresh(model: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.export_cost", "--one", model, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"The export of {model} failed: {done.stderr.strip()[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _median(runs: Sequence[dict[str, Any]], of: Callable[[dict[str, Any]], float]) -> float:
    return statistics.median(of(run) for run in runs)


def _by_step(runs: Sequence[dict[str, Any]], key: str) -> dict[str, float]:
    return {
        name: statistics.median(float(run[key].get(name, 0)) for run in runs)
        for name in runs[0][key]
    }


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Medians of one model's exports; seconds and bytes."""

    model: str
    rounds: int
    load_average: float
    weights: int
    total: float
    without_verify: float | None
    steps: dict[str, float]
    peak: float
    peaks: dict[str, float]
    images: int = 0
    copies: list[dict[str, Any]] = field(default_factory=list)
    functions: list[dict[str, Any]] = field(default_factory=list)


def measure_float(model: str, rounds: int) -> Cost:
    """Export in float32, with and without verification in turn."""
    full, bare = [], []
    for _ in range(rounds):
        full.append(_fresh(model))
        bare.append(_fresh(model, "--no-verify"))
    return Cost(
        model=model, rounds=rounds, load_average=os.getloadavg()[1], weights=full[0]["weights"],
        total=_median(full, lambda run: run["total"]),
        without_verify=_median(bare, lambda run: run["total"]),
        steps=_by_step(full, "steps"),
        peak=_median(bare + full, lambda run: run["peak"]),
        peaks=_by_step(full, "peaks"),
        copies=full[0]["copies"],
    )  # fmt: skip


def measure_int8(model: str, rounds: int, images: int) -> Cost:
    """Export as static int8 calibrated on `images` crops; once more under a profiler."""
    with tempfile.TemporaryDirectory() as folder:
        write_crops(Path(folder), images)
        runs = [_fresh(model, "--calibration", folder) for _ in range(rounds)]
        profiled = _fresh(model, "--calibration", folder, "--profile")
    return Cost(
        model=model, rounds=rounds, load_average=os.getloadavg()[1], weights=runs[0]["weights"],
        total=_median(runs, lambda run: run["total"]),
        without_verify=None,
        steps=_by_step(runs, "steps"),
        peak=_median(runs, lambda run: run["peak"]),
        peaks=_by_step(runs, "peaks"),
        images=images,
        copies=runs[0]["copies"],
        functions=profiled["functions"],
    )  # fmt: skip


# --- telling -------------------------------------------------------------------------------------


def _float_table(costs: Sequence[Cost]) -> list[str]:
    out = [
        "| model | weights MB | with verify s | without s | building the model s "
        "| peak MB above imports | peak / weights | copies of the weights | rounds "
        "| load average |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for cost in costs:
        out.append(
            f"| {cost.model} | {cost.weights / 1e6:.1f} | {cost.total:.1f} | "
            f"{cost.without_verify or 0.0:.1f} | {cost.steps['source']:.1f} | "
            f"{cost.peak / 1e6:.0f} | {cost.peak / cost.weights:.2f} | "
            f"{_copied(cost):.2f} | {cost.rounds} | {cost.load_average:.1f} |"
        )
    out.append("")
    for cost in costs:
        listed = ", ".join(f"{name} {seconds:.2f}" for name, seconds in cost.steps.items())
        out.append(f"- {cost.model}, seconds by step: {listed}")
    return out


def _copied(cost: Cost) -> float:
    """Return how many times the weights were copied, in bytes."""
    return float(sum(made["bytes"] for made in cost.copies) / cost.weights)


def _int8_table(costs: Sequence[Cost]) -> list[str]:
    out = [
        "| model | images | weights MB | whole export s | quantize s | peak MB above imports "
        "| peak / weights | copies of the weights | rounds | load average |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for cost in costs:
        out.append(
            f"| {cost.model} | {cost.images} | {cost.weights / 1e6:.1f} | {cost.total:.1f} | "
            f"{cost.steps['quantize']:.1f} | {cost.peak / 1e6:.0f} | "
            f"{cost.peak / cost.weights:.2f} | {_copied(cost):.2f} | {cost.rounds} | "
            f"{cost.load_average:.1f} |"
        )
    for cost in costs:
        out += ["", f"{cost.model}, step by step:", ""]
        out += [
            "| step | s | peak MB above imports | peak / weights | copied / weights | copied by |"
        ]
        out += ["|---|---:|---:|---:|---:|---|"]
        for step, seconds in cost.steps.items():
            made = [copied for copied in cost.copies if copied["step"] == step]
            where = ", ".join(f"`{copied['where']} {copied['function']}`" for copied in made)
            share = sum(copied["bytes"] for copied in made) / cost.weights
            peak = cost.peaks.get(step, 0.0)
            out.append(
                f"| {step} | {seconds:.2f} | {peak / 1e6:.0f} | {peak / cost.weights:.2f} | "
                f"{share:.2f} | {where} |"
            )
        out += ["", "Of it under a profiler, callees included:", ""]
        out += ["| function | s | calls |", "|---|---:|---:|"]
        out += [
            f"| `{row['function']}` | {row['seconds']:.2f} | {row['calls']} |"
            for row in cost.functions
        ]
    return out


def render(float32: Sequence[Cost], int8: Sequence[Cost]) -> str:
    """Lay both tables out as Markdown; one that was never measured is left out."""
    out = [
        "# What an export costs",
        "",
        "Medians, one thread, a fresh process each; `python -m tests.benchmarks.export_cost`.",
        "Load average well above 1 means that other work disturbed the times.",
    ]
    if float32:
        out += ["", *_float_table(float32)]
    if int8:
        out += ["", "## Static int8", "", "`--int8`; verified, no search for sensitive layers.", ""]
        out += _int8_table(int8)
    return "\n".join(out) + "\n"


def _stored(path: Path) -> dict[str, dict[str, Cost]]:
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {
        kind: {row["model"]: Cost(**row) for row in found.get(kind, ())}
        for kind in ("float32", "int8")
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and write `export_cost.json` and `export_cost.md` beside this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", help="default: those of the table")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--int8", type=int, nargs="?", const=_IMAGES, metavar="IMAGES",
        help=f"static int8, calibrated on so many images (default {_IMAGES})",
    )  # fmt: skip
    parser.add_argument("--one", metavar="MODEL", help="a fresh process's part")
    parser.add_argument("--no-verify", action="store_true")
    parser.add_argument("--calibration", type=Path)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args(arguments)
    if options.one:
        measured = export_once(
            options.one, verify=not options.no_verify, calibration=options.calibration,
            profiled=options.profile,
        )  # fmt: skip
        print(json.dumps(measured))
        return 0
    store = HERE / "export_cost.json"
    kind, known = ("float32", MODELS) if options.int8 is None else ("int8", INT8_MODELS)
    for model in options.models or known:
        cost = (
            measure_float(model, options.rounds)
            if options.int8 is None
            else measure_int8(model, options.rounds, options.int8)
        )
        found = _stored(store)
        found[kind][model] = cost
        rows = {name: list(costs.values()) for name, costs in found.items()}
        listed = {name: [asdict(row) for row in costs] for name, costs in rows.items()}
        store.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
        text = render(rows["float32"], rows["int8"])
        (HERE / "export_cost.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
