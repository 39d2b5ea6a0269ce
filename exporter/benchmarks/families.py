"""Export the smallest model of every timm module, each in its own process, and write a table.

    python -m exporter.benchmarks.families                 # all of them, about 40 minutes
    python -m exporter.benchmarks.families resnet hrnet    # some modules
    python -m exporter.benchmarks.families --choose        # pick the smallest models anew

Random weights with randomised BatchNorm statistics (untrained ones, 0 and 1, hide folding
errors). Each row is a real export of the image artifact: the file as saved is compared with eager
in a fresh process, and run on torch 2.1.0's ARM64 build where that is installed. Results go to
`families.json` and `families.md` beside this file.
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
TIMEOUT = 2400  # the smallest deepseek_vit has 412 M parameters
# Ten that break the usual recipes; CI runs these.
AWKWARD = (
    "resnet",
    "tiny_vit",
    "hrnet",
    "hiera",
    "convmixer",
    "levit",
    "visformer",
    "naflexvit",
    "selecsls",
    "mobilenetv3",
)


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
    """Build a timm model as the exporter does, random weights, BatchNorm statistics randomised."""
    import torch

    from exporter.source import load_source
    from exporter.tolerance import randomize_batch_norm

    source = load_source(name, random_weights=True, seed=seed)
    with torch.no_grad():
        return randomize_batch_norm(source.module, seed=seed)


def export_one(name: str, device: bool) -> dict[str, Any]:
    """Export one model and describe the outcome; every failure is an outcome."""
    from exporter.errors import ExportError
    from exporter.pipeline import export

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
        saved = report.ledger[-1]
        optimized = {p.name: p.effect for p in meta.passes}
        row |= {
            "ok": True,
            "capture": meta.capture.method,
            "repaired": [n for n in report.notes if n.startswith("repaired")],
            "rejected": [n for n in report.notes if n.startswith("capture not taken")],
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
            row["device"] = run_on_arm(artifact.path)
    return row


def run_on_arm(path: Path) -> dict[str, Any]:
    """Run the first golden input on torch 2.1.0's ARM64 build and compare."""
    from runtime_check.artifact import read_artifact
    from runtime_check.compare import Tolerance, compare
    from runtime_check.device import run_on_device
    from runtime_check.errors import RuntimeCheckError

    case = read_artifact(path).golden.cases[0]
    try:
        ran = run_on_device(path, [[t.array() for t in case.inputs]], runtime="arm64-2.1.0")
    except RuntimeCheckError as error:
        return {"loads": False, "error": str(error)}
    comparison = compare([t.array() for t in case.expected], list(ran.outputs[0]), Tolerance())
    return {"loads": True, "max_abs": comparison.max_abs, "sqnr_db": comparison.sqnr_db}


def in_own_process(name: str, device: bool) -> dict[str, Any]:
    """Run `export_one` in a fresh process: TorchScript never gives memory back."""
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__, "--one", name]
    if device:
        command.append("--device")
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
    loads = sum(1 for device in ran if device["loads"])
    captured = Counter(row["capture"] for row in good)
    out = [
        "# timm's families through the exporter",
        "",
        f"{len(good)} of {len(rows)} exported and verified: fp32, image artifact, random weights, "
        "BatchNorm statistics randomised; the saved file agrees with eager on five images in a "
        f"fresh process. Captured: {', '.join(f'{n} by {how}' for how, n in captured.items())}. "
        f"By its operator table {fits} load on torch 2.1.0; {loads} of the {len(ran)} that were "
        "run on its ARM64 build ran. `max |d|` is of probabilities, the saved file against eager; "
        "ARM64 is one image. Regenerate with `python -m exporter.benchmarks.families`.",
        "",
        "| module | model | captured | repaired | max \\|d\\| | SQNR dB | loads on 2.1.0 "
        "| ARM64 2.1.0 max \\|d\\| | s | MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for module, row in sorted(rows.items()):
        if not row.get("ok"):
            out.append(f"| {module} | {row['model']} | **failed** | | | | | | | |")
            continue
        device = row.get("device") or {}
        arm = _cell(device.get("max_abs"), ".1e") if device.get("loads", True) else "**fails**"
        fixes = "; ".join(t.split("(")[0].removeprefix("repaired: ") for t in row["repaired"])
        verdict = "yes" if row["runtimes"]["pytorch-2.1.0"] else "**no**"
        out.append(
            f"| {module} | {row['model']} | {row['capture']} | {fixes} | "
            f"{_cell(row['max_abs'], '.1e')} | {_cell(row['sqnr_db'], '.0f')} | {verdict} | "
            f"{arm} | {row['seconds']:.0f} | {row['mb']:.1f} |"
        )
    failed = {m: r for m, r in rows.items() if not r.get("ok")}
    if failed:
        out += ["", "## Failed", ""] + [f"- **{m}**: {r['error']}" for m, r in failed.items()]
    return "\n".join(out) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep; exit 1 when a model failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("modules", nargs="*", help="timm modules; all when none is named")
    parser.add_argument("--choose", action="store_true", help="pick the smallest models anew")
    parser.add_argument("--one", metavar="MODEL", help="export one model and print its row as JSON")
    parser.add_argument("--device", action="store_true", help="also run on ARM64 torch 2.1.0")
    parser.add_argument("--awkward", action="store_true", help="the ten that CI runs")
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(export_one(options.one, options.device)))
        return 0
    if options.choose:
        CHOSEN.write_text(json.dumps(choose(), indent=1) + "\n")
        return 0
    chosen: dict[str, str] = json.loads(CHOSEN.read_text())
    modules = options.modules or (list(AWKWARD) if options.awkward else list(chosen))
    rows: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.modules and not options.awkward:
        rows = {}
    failed = 0
    for module in modules:
        row = in_own_process(chosen[module], options.device)
        failed += not row["ok"]
        rows[module] = row
        state = f"{row.get('capture')} {row.get('max_abs')}" if row["ok"] else row["error"][:160]
        print(f"{module:28s} {chosen[module]:40s} {state}", flush=True)
        RESULTS.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
        TABLE.write_text(table(rows))
    print(f"{len(modules) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
