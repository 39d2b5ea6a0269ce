"""Quantise the smallest model of every timm module, each in its own process; write a table.

    python -m exporter.benchmarks.quantization.families_int8            # all, about 30 minutes
    python -m exporter.benchmarks.quantization.families_int8 resnet     # some modules

Random weights with randomised BatchNorm statistics; calibrated on crops of scikit-image's photos
and measured on other crops. `lite` is the int8 file in the lite interpreter against eager int8.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CHOSEN = HERE.parent / "families_chosen.json"
RESULTS = HERE / "families_int8.json"
TABLE = HERE / "families_int8.md"
TIMEOUT = 600
# A random network carries little signal; 10 dB is where a broken layer shows and rounding doesn't.
LEAST_DB = 10.0


def quantize_one(name: str) -> dict[str, Any]:
    """Quantise one model statically for XNNPACK and describe the outcome."""
    import torch

    from exporter.benchmarks.families import build
    from exporter.benchmarks.quantization import data
    from exporter.quantize import conversion_sqnr, judge, make_recipe, quantize, quantized_engine
    from exporter.quantize.errors import QuantizeError
    from exporter.quantize.evaluate import load_lite, run, save_lite
    from exporter.quiet import quiet
    from runtime_check.compare import sqnr_db

    torch.set_num_threads(1)
    row: dict[str, Any] = {"model": name, "ok": False}
    started = time.perf_counter()
    module = build(name)
    source = data.crops_for(module, 12, random.Random(0))
    calibration, measured = [source[:8]], [source[8:]]
    reference = run(module, measured)
    recipe = make_recipe("static", mode="auto", observer="minmax")
    try:
        with quiet():
            made = quantize(module, recipe, example=measured[0][:1], calibration=calibration)
        with quantized_engine():
            outputs = run(made.module, measured)
            row |= {
                "mode": made.recipe.mode,
                "int8_layers": made.int8_layers,
                "float_layers": len(made.float_layers),
                "sqnr_db": judge(reference, outputs).sqnr_db,
                "against_simulation_db": conversion_sqnr(made, measured),
                "notes": list(made.notes),
            }
            with tempfile.TemporaryDirectory() as folder, quiet():
                path = Path(folder) / "model.ptl"
                save_lite(made.module, measured[0][:1], path)
                with torch.inference_mode():
                    lite = load_lite(path)(measured[0][:1])
                row["lite_db"] = min(200.0, sqnr_db(outputs[:1].numpy(), lite.numpy()) or 0.0)
                row["bytes"] = path.stat().st_size
    except QuantizeError as error:
        row["error"] = str(error)
    else:
        row["ok"] = bool((row["sqnr_db"] or 0) >= LEAST_DB and row["lite_db"] >= 20.0)
    row["seconds"] = round(time.perf_counter() - started, 1)
    return row


def in_own_process(name: str) -> dict[str, Any]:
    """Quantise `name` in a child: TorchScript never gives memory back."""
    command = [sys.executable, "-W", "ignore", "-m", __spec__.name, "--one", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return {"model": name, "ok": False, "error": f"longer than {TIMEOUT} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        tail = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return {"model": name, "ok": False, "error": tail[0]}
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Render the results as Markdown."""
    good = sum(row["ok"] for row in rows.values())
    lines = [
        "# Static int8 (XNNPACK), the smallest model of every timm module",
        "",
        f"{good} of {len(rows)} are right: SQNR against float32 of at least {LEAST_DB:g} dB on "
        "random weights, and the lite interpreter agrees with eager int8.",
        "",
        "| module | model | mode | int8 layers | float | SQNR dB | lite dB | MB | s | remark |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for module, row in rows.items():
        remark = row.get("error", "" if row["ok"] else "SQNR too low")
        figures = [
            "" if row.get(key) is None else format(row[key] * factor, form)
            for key, form, factor in (
                ("int8_layers", "d", 1),
                ("float_layers", "d", 1),
                ("sqnr_db", ".1f", 1),
                ("lite_db", ".0f", 1),
                ("bytes", ".2f", 1e-6),
                ("seconds", ".0f", 1),
            )
        ]
        cells = [module, row["model"], row.get("mode", ""), *figures, remark.replace("|", "/")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Quantise the modules named on the command line, or all, and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--one", metavar="MODEL", help="quantise one model, print one JSON line")
    parser.add_argument("--missing", action="store_true", help="only modules without a result")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(quantize_one(options.one)))
        return
    chosen: dict[str, str] = json.loads(CHOSEN.read_text())
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for module, name in chosen.items():
        if options.modules and module not in options.modules:
            continue
        if options.missing and module in rows:
            continue
        rows[module] = in_own_process(name)
        print(module, json.dumps(rows[module])[:200], flush=True)
        rows = dict(sorted(rows.items()))
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
        TABLE.write_text(table(rows))


if __name__ == "__main__":
    main()
