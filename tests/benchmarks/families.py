"""Export the smallest model of every timm module, each in its own process, and write a table.

    python -m tests.benchmarks.families                 # all of them, about 40 minutes
    python -m tests.benchmarks.families resnet hrnet    # some modules
    python -m tests.benchmarks.families --int8          # the int8 columns, about as long
    python -m tests.benchmarks.families --format pte    # fp32 for ExecuTorch, about 90 minutes
    python -m tests.benchmarks.families --choose        # pick the smallest models anew

Random weights with randomized BatchNorm statistics (untrained ones, 0 and 1, hide folding
errors). Each row is a real export of the image artifact: the file as saved is compared with eager
in a fresh process, and with `--device` run on torch 2.1.0's ARM64 build. `--int8` exports the bare
network in static int8, calibrated on crops of scikit-image's photos, and runs the file on torch
2.1.0 (`python -m runtime_check device install x86-2.1.0`). `--format pte` lowers the bare network
for ExecuTorch, whose own runtime has run each file in a fresh process. Results go to
`families.json`, `families.md` and `families_pte.md` beside this file, after each model; `--missing`
goes on where a sweep ended.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.benchmarks.families_table import LEAST_DB, cell, program_table, table, why

HERE = Path(__file__).parent
CHOSEN = HERE / "families_chosen.json"
RESULTS = HERE / "families.json"
TABLE = HERE / "families.md"
PROGRAMS = HERE / "families_pte.md"
# Folders of this machine, which are nobody's business in a table.
_PLACES = re.compile(r"/(?:\S*/site-packages|tmp/\w+)/?")
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


def measured(model: Any) -> Any:
    """Give each BatchNorm the statistics of pictures of noise that go through the layers before it.

    With drawn statistics, few networks end in values that no longer depend on the picture.
    """
    import torch

    for layer in model.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches
    generator = torch.Generator().manual_seed(0)
    size = model.pretrained_cfg["input_size"]
    with torch.no_grad():
        model.train()(torch.randn(8, *size, generator=generator))
    return model.eval()


def export_untrained(name: str, **options: Any) -> Any:
    """Export a model without trained weights, with other statistics where these tell nothing."""
    from exporter.api import export
    from exporter.errors import NothingToVerify

    try:
        return export(build(name), name=name, **options)
    except NothingToVerify:
        return export(measured(build(name)), name=name, **options)


def awkward() -> tuple[str, ...]:
    """Name the ten families that the tests export small."""
    from tests.exporter.families import AWKWARD

    return tuple(AWKWARD)


def export_one(name: str, device: bool) -> dict[str, Any]:
    """Export one model for the lite interpreter; every failure is an outcome."""
    from exporter.errors import ExportError

    row: dict[str, Any] = {"model": name}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            artifact = export_untrained(name, out=folder)
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


def lower_one(name: str) -> dict[str, Any]:
    """Export one bare network for ExecuTorch; every failure is an outcome.

    Bare, because the method `preprocess` is the same for all families and takes longer to lower
    than most of the networks.
    """
    from exporter.errors import ExportError

    row: dict[str, Any] = {"model": name}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            artifact = export_untrained(name, out=folder, format="pte", input="tensor")
        except ExportError as error:
            return row | {"ok": False, "error": _PLACES.sub("", str(error))}
        report = artifact.report
        assert report is not None  # an export has one
        saved = report.ledger[-1]
        return row | {
            "ok": True,
            "max_abs": saved.max_abs,
            "sqnr_db": saved.sqnr_db,
            "top1": saved.top1,
            "operators": artifact.metadata.operators,
            "seconds": round(time.perf_counter() - started, 1),
            "mb": report.file_bytes / 1e6,
        }


def quantize_one(name: str) -> dict[str, Any]:
    """Export one bare network in static int8 and describe the outcome.

    No softmax: on random weights it would hide every error in near-equal probabilities.
    """
    import random

    from exporter.errors import ExportError, QuantizeError
    from tests.benchmarks.quantization import data

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        for index, crop in enumerate(data.photo_crops(12, random.Random(0))):
            crop.save(photos / f"{index:02}.png")
        try:
            artifact = export_untrained(
                name,
                out=Path(folder) / "out",
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


def in_own_fork(name: str) -> dict[str, Any]:
    """Lower in a process of its own, with all imports done: they take longer than small models."""
    import timm  # noqa: F401  imported for the children
    from executorch.exir import to_edge_transform_and_lower  # noqa: F401  likewise

    from exporter.api import export  # noqa: F401  likewise
    from exporter.executorch.partition import partitioner

    partitioner()
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_send_row, args=(name, send))
    child.start()
    send.close()
    try:
        if receive.poll(TIMEOUT):
            row: dict[str, Any] = receive.recv()
            return row
        return {"model": name, "ok": False, "error": f"took longer than {TIMEOUT} s"}
    except EOFError:
        child.join()
        return {"model": name, "ok": False, "error": f"its process ended, exit {child.exitcode}"}
    finally:
        child.kill()
        child.join()


def _send_row(name: str, pipe: Connection) -> None:
    pipe.send(lower_one(name))


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
    parser.add_argument("--format", choices=("ptl", "pte"), default="ptl", help="fp32 in which")
    options = parser.parse_args(arguments)
    if options.one:
        one = quantize_one(options.one) if options.int8 else export_one(options.one, options.device)
        print(json.dumps(one))
        return 0
    if options.choose:
        CHOSEN.write_text(json.dumps(choose(), indent=1) + "\n")
        return 0
    if options.int8 and options.format == "pte":
        parser.error("--int8 is of .ptl files; --format pte is of fp32")
    chosen: dict[str, str] = json.loads(CHOSEN.read_text())
    modules = options.modules or (list(awkward()) if options.awkward else list(chosen))
    passed = failed = 0
    for module in modules:
        old = _results().get(module, {"model": chosen[module]})
        if options.missing and _key(options) in old:
            continue
        if options.format == "pte":
            row = in_own_fork(chosen[module])
        else:
            flags = [f"--{name}" for name in ("device", "int8") if getattr(options, name)]
            row = in_own_process(chosen[module], *flags)
        passed, failed = passed + row["ok"], failed + (not row["ok"])
        state = cell(row.get("sqnr_db"), ".1f") + " dB" if row["ok"] else why(row)[:160]
        print(f"{module:28s} {chosen[module]:40s} {state}", flush=True)
        _write(module, _key(options), row, old)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def _key(options: argparse.Namespace) -> str:
    """Name what marks a module as done: fp32 rows hold the others."""
    if options.format == "pte":
        return "pte"
    return "int8" if options.int8 else "ok"


def _results() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return found


def _write(module: str, key: str, row: dict[str, Any], old: dict[str, Any]) -> None:
    """Put one outcome into the results as they are now: two sweeps may run at a time."""
    rows = _results()
    kept = {other: old[other] for other in ("int8", "pte") if other in old}
    rows[module] = row | kept if key == "ok" else old | {key: row}
    RESULTS.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
    TABLE.write_text(table(rows))
    programs = {name: found["pte"] for name, found in rows.items() if "pte" in found}
    if programs:
        PROGRAMS.write_text(program_table(programs))


if __name__ == "__main__":
    raise SystemExit(main())
