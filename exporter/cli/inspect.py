"""The commands that read: inspect, models, recipes, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..errors import UsageError, did_you_mean
from . import options
from .show import ledger_table, print_json, stdout


def inspect(
    file: Annotated[Path, typer.Argument(help="A .ptl file.")],
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Show what is inside a `.ptl`, without loading or running it."""
    from runtime_check.artifact.archive import read_artifact

    found = read_artifact(file)
    meta = found.metadata
    if json:
        print_json(
            {"file": str(file), "bytes": found.bytes, "metadata": meta.model_dump(mode="json")}
        )
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    given = meta.input
    if given.kind == "image":
        takes = f"uint8 RGB photo, height x width x 3, sides {given.min_side}..{given.max_side}"
    else:
        takes = ", ".join(f"{t.dtype} {t.shape}" for t in given.tensors)
        takes += ", any batch" if given.dynamic_batch else ", this batch only"
    gives = ", ".join(f"{t.dtype} {t.shape}" for t in meta.output.tensors)
    labels = f"{len(meta.output.labels)} labels" if meta.output.labels else "no labels"
    pre, by = meta.preprocessing, meta.produced_by
    rows = [
        ("name", meta.name),
        ("file", f"{found.bytes / 1e6:.1f} MB, {len(found.records)} records"),
        ("takes", takes),
        ("gives", f"{gives}, {meta.output.activation}, {labels}"),
        (
            "preprocessing",
            "none stated"
            if pre is None
            else f"{'in the graph' if pre.in_graph else 'left to the app'}: {pre.input_size}, "
            f"{pre.interpolation}, {pre.crop_mode} crop {pre.crop_pct:g}, "
            f"mean {list(pre.mean)}, std {list(pre.std)}",
        ),
        ("quantization", meta.quantization.method),
        ("captured", f"{meta.capture.method}: {meta.capture.reason}"),
        ("passes", "; ".join(f"{p.name}: {p.effect}" for p in meta.passes)),
        (
            "made by",
            f"exporter {by.exporter}, torch {by.torch}, timm {by.timm}, "
            f"bytecode {by.bytecode_version}",
        ),
        (
            "weights",
            f"{meta.provenance.weights.origin}: {meta.provenance.weights.detail}, "
            f"SHA-256 {meta.provenance.weights.sha256[:16]}…",
        ),
        ("licence", meta.provenance.licence or "not stated"),
        ("tolerance", f"{meta.tolerance.atol:.2g} ({meta.tolerance.basis})"),
        *(
            (
                f"on {v.runtime}",
                ("loads" if v.compatible else "does not load") + f": {v.detail}",
            )
            for v in meta.runtimes
        ),
        ("operators", ", ".join(f"{name} x{count}" for name, count in meta.operators.items())),
    ]
    for row in rows:
        table.add_row(*row)
    stdout.print(table)
    stdout.print()
    stdout.print(ledger_table(meta.ledger, "ledger"))


def models(
    pattern: Annotated[str, typer.Argument(help="Part of a name, or a pattern with *.")] = "*",
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """List timm models that can be exported."""
    import timm
    from timm.models import get_pretrained_cfg

    from runtime_check.reference.packaged import packaged_file

    wanted = pattern if "*" in pattern else f"*{pattern}*"
    names = timm.list_models(wanted)
    if not names:
        hint = did_you_mean(pattern.strip("*"), timm.list_models(), most=5)
        raise UsageError(f"timm {timm.__version__} has no model like {pattern!r}.{hint}")
    rows = []
    for name in names:
        config = get_pretrained_cfg(name)
        size = "x".join(map(str, config.input_size)) if config else ""
        source = (
            "package"
            if packaged_file(name)
            else ("hub" if config is not None and config.has_weights else "none")
        )
        rows.append((name, size, source, (config.license or "") if config else ""))
    if json:
        keys = ("name", "input_size", "weights", "licence")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("model", "input", "weights", "licence"):
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    stdout.print(table)
    stdout.print(f"{len(rows)} models", style="dim")


def recipes(json: options.Json = False, traceback: options.Traceback = False) -> None:
    """List the quantisation recipes: what becomes int8, and when."""
    from ..quantize.recipes import RECIPES

    rows = [recipe.describe() for recipe in RECIPES.values()]
    if json:
        print_json(rows)
        return
    # The modes of a recipe differ in how layers are found, not in what becomes of them.
    alike: dict[tuple[str, ...], list[str]] = {}
    shown = ("kernels", "layers", "weights", "activations", "needs")
    for row in rows:
        alike.setdefault(tuple(row[key] for key in shown), []).append(row["recipe"])
    for values, names in alike.items():
        stdout.print(Text(", ".join(names), "bold"))
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="dim", min_width=13)
        for key, value in zip(shown, values, strict=True):
            if value != "-":
                table.add_row(f"  {key}", value)
        stdout.print(table)
    stdout.print("-fx: symbolic tracing first. Without: layer by layer, on every model.")


def doctor(json: options.Json = False, traceback: options.Traceback = False) -> None:
    """Check torch, XNNPACK, engines, timm, disk and optional tools; say what to do."""
    from ..environment import diagnose

    findings = diagnose()
    if json:
        print_json([finding.__dict__ for finding in findings])
    else:
        table = Table(box=None, show_header=False, pad_edge=False)
        words = {
            True: Text("OK", "green"),
            False: Text("BAD", "bold red"),
            None: Text("–", "dim"),
        }
        for finding in findings:
            detail = f"{finding.found}  {finding.advice}".strip()
            table.add_row(words[finding.ok], finding.what, detail)
        stdout.print(table)
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(2)
