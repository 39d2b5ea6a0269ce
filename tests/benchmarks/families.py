"""Tables of the smallest model of every timm module, from a comparison of all of them.

    python -m tests.benchmarks.families --photos                           # to calibrate on
    python -m exporter compare tests/benchmarks/families.toml -o build/families   # hours; resumes
    python -m tests.benchmarks.families build/families                     # the tables
    python -m tests.benchmarks.families --choose       # pick the smallest models anew

The plan exports bare networks with random weights in fp32 and static int8, for the lite interpreter
and for ExecuTorch, each in its own process; `compare --ray` spreads it over machines. The saved
file has been compared with eager in a fresh process. Int8 files run here on torch 2.1.0
(`python -m runtime_check device install x86-2.1.0`). Results go to `families.json`, `families.md`
and `families_pte.md` beside this file; models that are not in the comparison keep theirs.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exporter.compare.result import Comparison, Row
from tests.benchmarks.families_table import LEAST_DB, program_table, table

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLAN = HERE / "families.toml"
RESULTS = HERE / "families.json"
TABLE = HERE / "families.md"
PROGRAMS = HERE / "families_pte.md"
PHOTOS = ROOT / "build" / "photos"
FACTORIES = "tests.benchmarks.untrained"
# Folders of this machine, which are nobody's business in a table.
_PLACES = re.compile(r"/(?:\S*/site-packages|tmp/\w+)/?")


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


def write_plan(chosen: dict[str, str]) -> None:
    """Write the plan that compares `chosen`."""
    models = [f'    "{FACTORIES}:{model}",  # {module}' for module, model in sorted(chosen.items())]
    lines = [
        "# The smallest model of every timm module; `python -m tests.benchmarks.families --choose`",
        "# writes this file. Run it from the root of a checkout.",
        'input = "tensor"  # preprocessing is the same for all, and takes long to lower',
        'recipes = ["none", "static"]',
        'formats = ["ptl", "pte"]',
        'calibration = "../../build/photos"  # `python -m tests.benchmarks.families --photos`',
        "rounds = 1",
        "models = [",
        *models,
        "]",
    ]
    PLAN.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_photos() -> None:
    """Write crops of scikit-image's photos, which int8 is calibrated on."""
    from tests.benchmarks.quantization import data

    PHOTOS.mkdir(parents=True, exist_ok=True)
    for index, crop in enumerate(data.photo_crops(12, random.Random(0))):
        crop.save(PHOTOS / f"{index:02}.png")


def rows_of(comparison: Comparison, out: Path) -> dict[str, dict[str, Any]]:
    """Return what became of each timm module: fp32, and within it `int8` and `pte`."""
    from timm.models._registry import _model_to_module

    found: dict[str, dict[str, Any]] = {}
    for row in comparison.rows:
        model = row.model.split(":")[-1]
        of_module = found.setdefault(_model_to_module[model], {"model": model})
        if row.recipe == "none" and row.format == "ptl":
            of_module.update(_float(row, out))
        elif row.recipe == "none":
            of_module["pte"] = {"model": model, **_outcome(row), **_operators(row, out)}
        elif row.format == "ptl":
            of_module["int8"] = {"model": model, **_int8(row, out)}
        else:
            of_module["pte_int8"] = {"model": model, **_outcome(row)}
    return found


def _outcome(row: Row) -> dict[str, Any]:
    if row.failed:
        return {"ok": False, "error": _PLACES.sub("", row.reason)}
    return {
        "ok": True,
        "max_abs": row.max_abs,
        "sqnr_db": row.sqnr_db,
        "seconds": row.seconds,
        "mb": row.mb,
    }


def _float(row: Row, out: Path) -> dict[str, Any]:
    from exporter.report.report import Report

    if row.failed:
        return _outcome(row)
    file = out / row.folder / row.file
    text = file.with_suffix(".report.json").read_text(encoding="utf-8")
    report = Report.model_validate_json(text)
    meta = report.metadata
    return {
        **_outcome(row),
        "capture": meta.capture.method,
        "repaired": [str(note) for note in report.notes if note.kind == "repair"],
        "rejected": [str(note) for note in report.notes if note.kind == "rejected-capture"],
        "prepared": {p.name: p.effect for p in meta.passes if p.stage == "prepare"},
        "optimized": {p.name: p.effect for p in meta.passes},
        "atol": meta.tolerance.atol,
        "runtimes": {v.runtime: v.compatible for v in meta.runtimes},
    }


def _operators(row: Row, out: Path) -> dict[str, Any]:
    from runtime_check.artifact.archive import read_artifact

    if row.failed:
        return {}
    return {"operators": read_artifact(out / row.folder / row.file).metadata.operators}


def _int8(row: Row, out: Path) -> dict[str, Any]:
    """Describe an int8 file, and run it on torch 2.1.0."""
    from runtime_check.artifact.archive import read_artifact

    if row.failed:
        return _outcome(row)
    file = out / row.folder / row.file
    quantization = read_artifact(file).metadata.quantization
    device = run_on(file, "x86-2.1.0")
    return {
        **_outcome(row),
        "ok": bool((row.sqnr_db or 0.0) >= LEAST_DB and device["loads"]),
        "mode": quantization.mode,
        "int8_layers": quantization.int8_layers,
        "float_layers": len(quantization.float_layers),
        "device": device,
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


def write_tables(new: dict[str, dict[str, Any]]) -> None:
    """Put new results among the old ones, and write all tables."""
    rows: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8"))
    for module, row in new.items():
        rows[module] = {**rows.get(module, {}), **row}
    RESULTS.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    TABLE.write_text(table(rows), encoding="utf-8")
    programs = {name: found["pte"] for name, found in rows.items() if "pte" in found}
    PROGRAMS.write_text(program_table(programs), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the plan, the photos or the tables; exit 1 when a model of the comparison failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", nargs="?", type=Path, help="the folder that `compare` wrote")
    parser.add_argument("--choose", action="store_true", help="pick the smallest models anew")
    parser.add_argument("--photos", action="store_true", help="write the photos of calibration")
    options = parser.parse_args(arguments)
    if not (options.out or options.choose or options.photos):
        parser.error("give the folder of a comparison, --choose or --photos")
    if options.choose:
        write_plan(choose())
    if options.photos:
        write_photos()
    if not options.out:
        return 0
    text = (options.out / "compare.json").read_text(encoding="utf-8")
    found = rows_of(Comparison.model_validate_json(text), options.out)
    write_tables(found)
    wrong = [module for module, row in found.items() if not row.get("ok", True)]
    print(f"{len(found)} modules, {len(wrong)} not exported: {', '.join(wrong)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
