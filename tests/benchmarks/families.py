"""Export the smallest model of every timm module, each in its own process, and write a table.

    python -m tests.benchmarks.families                 # all of them, about 40 minutes
    python -m tests.benchmarks.families resnet hrnet    # some modules
    python -m tests.benchmarks.families --int8          # the int8 columns, about as long
    python -m tests.benchmarks.families --choose        # pick the smallest models anew

Random weights with randomized BatchNorm statistics (untrained ones, 0 and 1, hide folding
errors). Each row is a real export of the image artifact: the file as saved is compared with eager
in a fresh process, and with `--device` run on torch 2.1.0's ARM64 build. `--int8` exports the bare
network in static int8, calibrated on crops of scikit-image's photos, and runs the file on torch
2.1.0 (`python -m runtime_check device install x86-2.1.0`). Results go to `families.json` and
`families.md` beside this file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CHOSEN = HERE / "families_chosen.json"
RESULTS = HERE / "families.json"
TABLE = HERE / "families.md"
# A random network carries little signal; 10 dB is where a broken layer shows and rounding doesn't.
LEAST_DB = 10.0
TIMEOUT = 2400  # the smallest deepseek_vit has 412 M parameters


def choose() -> dict[str, str]:
    """Return timm module -> its model with the fewest parameters, built without memory."""
    import timm
    import torch
    from timm.models._registry import _module_to_models

    chosen = {}
    for module, models in sorted(_module_to_models.items()):
        sizes = []
        for name in sorted(models):
            try:
                with torch.device("meta"):
                    built = timm.create_model(name)
            except Exception as error:  # noqa: BLE001  some constructors need real tensors
                print(f"{name}: not on meta ({error})", file=sys.stderr)
                built = None
            if built is not None:
                sizes.append((sum(p.numel() for p in built.parameters()), name))
        if not sizes:
            # All of its constructors read values; the shortest name is the plainest model.
            sizes = [(0, min(models, key=lambda n: (len(n), n)))]
        chosen[module] = min(sizes)[1]
    return chosen


def build(name: str, *, seed: int = 0) -> Any:
    """Build a timm model as the exporter does, random weights, BatchNorm statistics randomized.

    Some families start their classifier at zero; all outputs would be equal and nothing compared.
    """
    from exporter.source import load_source
    from tests.exporter.families import untrained

    return untrained(load_source(name, random_weights=True, seed=seed).module, seed=seed)


def awkward() -> tuple[str, ...]:
    """Name the ten families that the tests export small."""
    from tests.exporter.families import AWKWARD

    return tuple(AWKWARD)


def export_one(name: str, device: bool) -> dict[str, Any]:
    """Export one model and describe the outcome; every failure is an outcome."""
    from exporter.api import export
    from exporter.errors import ExportError

    row: dict[str, Any] = {"model": name}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            module = build(name)
            artifact = export(module, out=folder, name=name)
        except ExportError as error:
            row |= {"ok": False, "error": str(error)}
            return row
        meta, report = artifact.metadata, artifact.report
        assert report is not None  # an export has one
        saved = report.ledger[-1]
        optimized = {p.name: p.effect for p in meta.passes}
        row |= {
            "ok": True,
            "capture": meta.capture.method,
            "repaired": [str(n) for n in report.notes if n.kind == "repair"],
            "rejected": [str(n) for n in report.notes if n.kind == "rejected-capture"],
            "prepared": {p.name: p.effect for p in meta.passes if p.stage == "prepare"},
            "optimized": optimized,
            "max_abs": saved.max_abs,
            "sqnr_db": saved.sqnr_db,
            "top1": saved.top1,
            "atol": meta.tolerance.atol,
            "seconds": round(time.perf_counter() - started, 1),
            "mb": report.file_bytes / 1e6,
            "runtimes": {v.runtime: v.compatible for v in meta.runtimes},
        }
        if device:
            row["device"] = run_on(artifact.path, "arm64-2.1.0")
    return row


def quantize_one(name: str) -> dict[str, Any]:
    """Export one bare network in static int8 and describe the outcome.

    No softmax: on random weights it would hide every error in near-equal probabilities.
    """
    import random

    from exporter.api import export
    from exporter.errors import ExportError, QuantizeError
    from tests.benchmarks.quantization import data

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        for index, crop in enumerate(data.photo_crops(12, random.Random(0))):
            crop.save(photos / f"{index:02}.png")
        try:
            artifact = export(
                build(name),
                out=Path(folder) / "out",
                name=name,
                activation="none",
                quantize="static",
                calibration=photos,
            )
        except (ExportError, QuantizeError) as error:
            return {"model": name, "ok": False, "error": str(error)}
        meta, report = artifact.metadata, artifact.report
        assert report is not None  # an export has one
        device = run_on(artifact.path, "x86-2.1.0")
        saved = report.ledger[-1]
        return {
            "model": name,
            "ok": bool((saved.sqnr_db or 0.0) >= LEAST_DB and device["loads"]),
            "mode": meta.quantization.mode,
            "int8_layers": meta.quantization.int8_layers,
            "float_layers": len(meta.quantization.float_layers),
            "sqnr_db": saved.sqnr_db,
            "top1": saved.top1,
            "device": device,
            "seconds": round(time.perf_counter() - started, 1),
            "mb": report.file_bytes / 1e6,
        }


def run_on(path: Path, runtime: str) -> dict[str, Any]:
    """Run the first golden input on a device runtime and compare with what the file expects."""
    from runtime_check.artifact.archive import read_artifact
    from runtime_check.comparison import Tolerance, compare
    from runtime_check.device.runner import run_on_device
    from runtime_check.errors import RuntimeCheckError

    case = read_artifact(path).golden.cases[0]
    try:
        ran = run_on_device(path, [[t.array() for t in case.inputs]], runtime=runtime)
    except RuntimeCheckError as error:
        return {"loads": False, "error": str(error)}
    comparison = compare([t.array() for t in case.expected], list(ran.outputs[0]), Tolerance())
    return {"loads": True, "max_abs": comparison.max_abs, "sqnr_db": comparison.sqnr_db}


def in_own_process(name: str, *options: str) -> dict[str, Any]:
    """Export in a fresh process: TorchScript never gives memory back."""
    module = __spec__.name if __spec__ else __name__
    command = [sys.executable, "-W", "ignore", "-m", module, "--one", name, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return {"model": name, "ok": False, "error": f"took longer than {TIMEOUT} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        tail = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"model": name, "ok": False, "error": f"exit {done.returncode}: {tail[:300]}"}
    row: dict[str, Any] = json.loads(lines[-1])
    return row


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Render the results as Markdown."""
    good = [row for row in rows.values() if row.get("ok")]
    fits = sum(1 for row in good if row["runtimes"]["pytorch-2.1.0"])
    ran = [row["device"] for row in good if row.get("device")]
    captured = Counter(row["capture"] for row in good)
    small = [row["int8"] for row in rows.values() if "int8" in row]
    right = sum(1 for row in small if row["ok"])
    out = [
        "# timm's families through the exporter",
        "",
        f"**fp32: {len(good)} of {len(rows)}** exported and verified: image artifact, random "
        "weights, BatchNorm statistics randomized; the saved file agrees with eager on five images "
        f"in a fresh process. Captured: {', '.join(f'{n} by {how}' for how, n in captured.items())}"
        f". By its operator table {fits} load on torch 2.1.0"
        + (f"; {sum(d['loads'] for d in ran)} of {len(ran)} ran on its ARM64 build" if ran else "")
        + ". `max |d|` is of probabilities, the saved file against eager.",
        "",
    ]
    if small:
        out += [
            f"**static int8: {right} of {len(small)}** exported, ran on torch 2.1.0 and are right: "
            f"bare network, calibrated on 12 crops of photos, SQNR of the saved file's outputs "
            f"against fp32 at least {LEAST_DB:g} dB. `2.1.0 dB` is the file on torch 2.1.0 against "
            "its own golden outputs.",
            "",
        ]
    out += [
        "Regenerate with `python -m tests.benchmarks.families` (`--int8`, `--device`).",
        "",
        "| module | model | captured | repaired | max \\|d\\| | dB | loads on 2.1.0 | s | MB "
        "| int8 mode | int8 layers | in float | int8 dB | 2.1.0 dB | int8 s | int8 MB |",
        "|---" * 4 + "|---:|---:|---|---:|---:|---|" + "---:|" * 6,
    ]
    for module, row in sorted(rows.items()):
        cells = [module, row["model"], *_float_cells(row), *_int8_cells(row.get("int8"))]
        out.append("| " + " | ".join(cells) + " |")
    for title, failed in (
        ("fp32: not exported", {m: r for m, r in rows.items() if not r.get("ok")}),
        ("int8: not right", {m: r["int8"] for m, r in rows.items() if not _fine(r.get("int8"))}),
    ):
        if failed:
            out += ["", f"## {title}", ""] + [f"- **{m}**: {_why(r)}" for m, r in failed.items()]
    return "\n".join(out) + "\n"


def _fine(row: dict[str, Any] | None) -> bool:
    return row is None or bool(row["ok"])


def _why(row: dict[str, Any]) -> str:
    if "error" in row:
        return str(row["error"])
    if not row.get("device", {}).get("loads", True):
        return f"torch 2.1.0: {row['device']['error']}"
    return f"SQNR {_cell(row.get('sqnr_db'), '.1f')} dB"


def _float_cells(row: dict[str, Any]) -> list[str]:
    if not row.get("ok"):
        return ["**failed**"] + [""] * 6
    fixes = "; ".join(t.split("(")[0].removeprefix("repaired: ") for t in row["repaired"])
    return [
        row["capture"],
        fixes,
        _cell(row["max_abs"], ".1e"),
        _cell(row["sqnr_db"], ".0f"),
        "yes" if row["runtimes"]["pytorch-2.1.0"] else "**no**",
        _cell(row["seconds"], ".0f"),
        _cell(row["mb"], ".1f"),
    ]


def _int8_cells(row: dict[str, Any] | None) -> list[str]:
    if row is None or "mode" not in row:
        return ["" if row is None else "**failed**"] + [""] * 6
    return [
        row["mode"],
        str(row["int8_layers"]),
        str(row["float_layers"]),
        _cell(row["sqnr_db"], ".1f"),
        _cell(row["device"].get("sqnr_db"), ".0f") if row["device"]["loads"] else "**fails**",
        _cell(row["seconds"], ".0f"),
        _cell(row["mb"], ".1f"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep; exit 1 when a model failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("modules", nargs="*", help="timm modules; all when none is named")
    parser.add_argument("--choose", action="store_true", help="pick the smallest models anew")
    parser.add_argument("--one", metavar="MODEL", help="export one model and print its row as JSON")
    parser.add_argument("--device", action="store_true", help="also run on ARM64 torch 2.1.0")
    parser.add_argument("--int8", action="store_true", help="the int8 columns instead of fp32")
    parser.add_argument("--missing", action="store_true", help="only those without a result")
    parser.add_argument("--awkward", action="store_true", help="the ten that CI runs")
    options = parser.parse_args(arguments)
    if options.one:
        row = quantize_one(options.one) if options.int8 else export_one(options.one, options.device)
        print(json.dumps(row))
        return 0
    if options.choose:
        CHOSEN.write_text(json.dumps(choose(), indent=1) + "\n")
        return 0
    chosen: dict[str, str] = json.loads(CHOSEN.read_text())
    modules = options.modules or (list(awkward()) if options.awkward else list(chosen))
    rows: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    passed = failed = 0
    for module in modules:
        old = rows.get(module, {"model": chosen[module]})
        if options.missing and ("int8" if options.int8 else "ok") in old:
            continue
        flags = [f"--{name}" for name in ("device", "int8") if getattr(options, name)]
        row = in_own_process(chosen[module], *flags)
        passed, failed = passed + row["ok"], failed + (not row["ok"])
        if options.int8:
            rows[module] = old | {"int8": row}
        else:
            rows[module] = row | {key: old[key] for key in ("int8",) if key in old}
        state = _cell(row.get("sqnr_db"), ".1f") + " dB" if row["ok"] else _why(row)[:160]
        print(f"{module:28s} {chosen[module]:40s} {state}", flush=True)
        RESULTS.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
        TABLE.write_text(table(rows))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
