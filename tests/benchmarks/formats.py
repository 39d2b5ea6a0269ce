"""Measure `.ptl` against `.pte`: the same model, weights and recipe, for both runtimes.

    python -m tests.benchmarks.formats [--rounds N] [--keep FOLDER] [MODEL ...]

Each model is exported for a photo, in float32 and in static int8 calibrated on the 24 photos that
scikit-image's package gives, as `.ci/run` does. Both files of a pair run on this machine's own
runtimes in interleaved rounds, on one thread, and on the ARM64 runtimes under emulation, where
instructions are counted. Accuracy is that of the file's own ledger, against eager float32. `--keep`
keeps the files in a folder and uses those that are there. Writes `formats.json` and `formats.md`
beside this file, after each pair. Needs `python -m runtime_check device install` of both runtimes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "formats.json"
TABLE = HERE / "formats.md"
# Model -> whether its weights are drawn.
MODELS = {
    "tf_efficientnet_lite0": False,
    "deit_tiny_patch16_224": True,
    "mobilenetv4_conv_small": True,
    "test_vit": True,
}
METHODS = ("none", "static")
DEVICES = {"ptl": "arm64-2.1.0", "pte": "arm64-executorch"}
# A load is timed once in a run of the benchmark.
LOADS = 3


def make(name: str, method: str, form: str, folder: Path) -> Path:
    """Export one file, unless it is there."""
    import exporter
    from tests.artifacts import write_photos

    label = name if method == "none" else f"{name}_int8"
    path = folder / f"{label}.{form}"
    if not path.exists():
        photos = folder / "photos"
        if not photos.exists():
            write_photos(photos)
        exporter.export(
            name,
            out=folder,
            name=label,
            format="pte" if form == "pte" else "ptl",
            random_weights=MODELS[name],
            quantize=None if method == "none" else method,
            calibration=None if method == "none" else photos,
        )
    return path


def timed(paths: Sequence[Path], rounds: int) -> list[dict[str, Any]]:
    """Time files against each other; rows in their order, ratios paired and against the first."""
    from runtime_check.bench.run import run_bench

    passes = [run_bench(paths, threads=(1,), rounds=max(3, rounds // LOADS)) for _ in range(LOADS)]
    runs = [[one.devices[0].runs[i] for one in passes] for i in range(len(paths))]
    samples = [[sample for run in file for sample in run.samples_ms] for file in runs]
    return [
        {
            "runtime": file[0].runtime,
            "mb": file[0].size_mb,
            "load_ms": statistics.median(run.load_ms for run in file if run.load_ms is not None),
            "first_ms": statistics.median(run.first_ms for run in file if run.first_ms is not None),
            "ms": statistics.median(mine),
            "ratio": statistics.median(a / b for a, b in zip(mine, samples[0], strict=True)),
            "peak_mb": max(run.peak_mb for run in file if run.peak_mb is not None),
        }
        for file, mine in zip(runs, samples, strict=True)
    ]


def counted(path: Path, form: str) -> int:
    """Return ARM64 instructions of the second inference on the first golden photo."""
    import numpy as np

    from runtime_check.artifact.archive import read_artifact
    from runtime_check.device.runner import open_runner

    case = read_artifact(path).golden.cases[0]
    with open_runner(DEVICES[form], count=True, timeout=1800) as device:
        device.load(path)
        inputs = [np.asarray(tensor.array()) for tensor in case.inputs]
        return device.forward(inputs, repeats=2).instructions or 0


def told(path: Path) -> dict[str, Any]:
    """Return what the file's own ledger says of it, and how many images that was measured on."""
    from runtime_check.artifact.archive import read_artifact

    saved = read_artifact(path).metadata.ledger[-1]
    return {"sqnr_db": saved.sqnr_db, "top1": saved.top1, "max_abs": saved.max_abs}


def measure(name: str, method: str, folder: Path, rounds: int) -> Iterator[dict[str, Any]]:
    """Give one row for each format; a file that is not kept has one with the reason."""
    from exporter.errors import ExportError

    paths: dict[str, Path] = {}
    for form in DEVICES:
        try:
            paths[form] = make(name, method, form, folder)
        except ExportError as error:
            yield {"model": name, "method": method, "format": form, "error": str(error)}
    times = timed(list(paths.values()), rounds) if paths else []
    for (form, path), row in zip(paths.items(), times, strict=True):
        yield {
            "model": name, "method": method, "format": form, **row, **told(path),
            "instructions": counted(path, form),
        }  # fmt: skip


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Render the rows as Markdown."""
    import os

    out = [
        "# `.ptl` against `.pte`",
        "",
        "The whole file: a photo in, probabilities out. One thread; medians of interleaved rounds "
        "on a photo of 480 x 640, the ratio paired; load and first result are medians of "
        f"{LOADS} fresh processes; load average {os.getloadavg()[1]:.1f}. Instructions: the second "
        "inference on a photo of 96 x 144, on "
        f"{DEVICES['ptl']} and {DEVICES['pte']} under emulation. dB and top-1 are against eager "
        "float32, by each file's own ledger; int8 is calibrated on 24 photos. Weights are drawn "
        f"for {', '.join(name for name, drawn in MODELS.items() if drawn)}. "
        "`python -m tests.benchmarks.formats`.",
        "",
        "| model | weights | file | MB | load ms | first ms | ms | / .ptl | peak MB "
        "| M ARM64 instructions | dB | top-1 |",
        "|---|---|---|" + "---:|" * 9,
    ]
    for row in rows:
        kind = "float32" if row["method"] == "none" else "int8"
        if "error" in row:
            out.append(f"| {row['model']} | {kind} | .{row['format']} | not kept: {row['error']} |")
            continue
        top1 = "" if row["top1"] is None else f"{row['top1']:.0%}"
        out.append(
            f"| {row['model']} | {kind} | "
            f".{row['format']} | {row['mb']:.1f} | {row['load_ms']:.0f} | {row['first_ms']:.0f} | "
            f"{row['ms']:.1f} | {row['ratio']:.2f} | {row['peak_mb']:.0f} | "
            f"{row['instructions'] / 1e6:.1f} | {row['sqnr_db']:.1f} | {top1} |"
        )
    return "\n".join(out) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the pairs that were asked for; the table has all that were measured so far."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="folder of the files")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        for name in options.models or MODELS:
            for method in METHODS:
                old = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
                rows = [row for row in old if (row["model"], row["method"]) != (name, method)]
                rows += measure(name, method, folder, options.rounds)
                rows.sort(key=lambda row: (list(MODELS).index(row["model"]), row["method"]))
                RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
                TABLE.write_text(table(rows))
                print("\n".join(table(rows).splitlines()[-2:]), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
