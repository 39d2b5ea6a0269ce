"""The commands that read: inspect, models, recipes, doctor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from ..errors import UsageError, did_you_mean
from . import options
from .show import facts_table, ledger_table, print_json, print_table, stdout

if TYPE_CHECKING:
    from runtime_check.artifact.archive import ArtifactFile
    from runtime_check.artifact.metadata import Metadata


def inspect(
    file: Annotated[Path, typer.Argument(help="A .ptl or .pte file.")],
    verify_key: options.VerifyKey = None,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Show what is inside a `.ptl` or `.pte`, without loading or running it."""
    from runtime_check.artifact.archive import read_artifact
    from runtime_check.signing import read_public_key

    key = None if verify_key is None else read_public_key(verify_key)
    artifact = read_artifact(file, verify_key=key)
    signature = None if artifact.signature is None else asdict(artifact.signature)
    meta = artifact.metadata
    if json:
        print_json(
            {
                "file": str(file),
                "bytes": artifact.bytes,
                "signature": signature,
                "metadata": meta.model_dump(mode="json"),
            }
        )
        return
    print_table(facts_table([*_use(artifact), *_origin(meta)]))
    stdout.print()
    print_table(ledger_table(meta.ledger, "ledger"))


def _use(artifact: ArtifactFile) -> Iterator[tuple[str, str]]:
    """Say what the file takes and gives, and what it needs to run."""
    meta = artifact.metadata
    yield "name", meta.name
    yield "file", f"{artifact.bytes / 1e6:.1f} MB, {len(artifact.records)} records"
    if meta.input.kind == "image":
        sides = f"{meta.input.min_side}..{meta.input.max_side}"
        channels = meta.input.channels
        takes = f"uint8 {meta.input.color} photo, height x width x {channels}, sides {sides}"
    else:
        takes = ", ".join(f"{t.name} {t.dtype} {t.shape}" for t in meta.input.tensors)
        takes += ", any batch" if meta.input.dynamic_batch else ", this batch only"
    yield "signature", str(artifact.signature or "none")
    yield "takes", takes
    from runtime_check.artifact.output import describe_output

    yield "task", f"{meta.task or 'unknown'}: {meta.task_basis}"
    for index in range(len(meta.output.tensors)):
        yield "gives" if not index else "", describe_output(meta.output, index)
    yield "labels", f"{len(meta.output.labels)}" if meta.output.labels else "none"
    pre = meta.preprocessing
    if pre is None:
        yield "preprocessing", "none stated"
    else:
        where = "in the graph" if pre.in_graph else "left to the app"
        yield (
            "preprocessing",
            f"{where}: {pre.input_size}, {pre.interpolation}, {pre.crop_mode} crop "
            f"{pre.crop_pct:g}, mean {list(pre.mean)}, std {list(pre.std)}",
        )
    yield "quantization", meta.quantization.method
    yield "tolerance", f"{meta.tolerance.atol:.2g} ({meta.tolerance.basis})"
    for verdict in meta.runtimes:
        loads = "loads" if verdict.compatible else "does not load"
        yield f"on {verdict.runtime}", f"{loads}: {verdict.detail}"
    yield "operators", ", ".join(f"{name} x{count}" for name, count in meta.operators.items())


def _origin(meta: Metadata) -> Iterator[tuple[str, str]]:
    """Say how the file was made, and of what."""
    by, weights = meta.produced_by, meta.provenance.weights
    yield "captured", f"{meta.capture.method}: {meta.capture.reason}"
    yield "passes", "; ".join(f"{p.name}: {p.effect}" for p in meta.passes)
    versions = f"exporter {by.exporter}, torch {by.torch}, timm {by.timm}"
    yield "made by", f"{versions}, {by.form}"
    yield "weights", f"{weights.origin}: {weights.detail}, SHA-256 {weights.sha256[:16]}…"
    yield "license", meta.provenance.license or "not stated"


def models(
    pattern: Annotated[str, typer.Argument(help="Part of a name, or a pattern with *.")] = "*",
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """List timm models that can be exported."""
    import timm
    from timm.models import get_pretrained_cfg

    from runtime_check.reference.packaged import packaged_file

    glob = pattern if "*" in pattern else f"*{pattern}*"
    names = timm.list_models(glob)
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
        keys = ("name", "input_size", "weights", "license")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("model", "input", "weights", "license"):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    print_table(table)
    stdout.print(f"{len(rows)} models", style="dim")


def recipes(json: options.Json = False, traceback: options.Traceback = False) -> None:
    """List the quantization recipes: which layers become int8, and when."""
    from ..recipes import RECIPES

    rows = [recipe.describe() for recipe in RECIPES.values()]
    if json:
        print_json(rows)
        return
    # The modes of a recipe find layers in different ways and convert them in the same way.
    alike: dict[tuple[str, ...], list[str]] = {}
    shown = ("kernels", "layers", "weights", "activations", "needs")
    for row in rows:
        alike.setdefault(tuple(row[key] for key in shown), []).append(row["recipe"])
    for values, names in alike.items():
        stdout.print(Text(", ".join(names), "bold"))
        facts = zip((f"  {key:11}" for key in shown), values, strict=True)
        print_table(facts_table((key, value) for key, value in facts if value != "-"))
    stdout.print("-fx: by symbolic tracing. Without: layer by layer, which works on every model.")


def doctor(json: options.Json = False, traceback: options.Traceback = False) -> None:
    """Check torch, XNNPACK, engines, timm, disk and optional tools; say what to do."""
    from ..environment import diagnose

    findings = diagnose()
    if json:
        print_json([finding.__dict__ for finding in findings])
    else:
        table = Table(Column(), Column(no_wrap=True), box=None, show_header=False, pad_edge=False)
        words = {
            True: Text("OK", "green"),
            False: Text("BAD", "bold red"),
            None: Text("–", "dim"),
        }
        for finding in findings:
            detail = f"{finding.found}  {finding.advice}".strip()
            table.add_row(words[finding.ok], finding.what, detail)
        print_table(table)
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(2)
