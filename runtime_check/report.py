"""Show a report: on the terminal, as JSON, and as one HTML file to attach to a release."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .artifact.metadata import LedgerRow
from .checking import CONFIDENCE, Outcome, Report
from .comparison import Comparison
from .metrics import FIGURES, HEADINGS, Agreement, metric_of
from .pages import write_page
from .printable import printable
from .properties import NEEDS_REFERENCE
from .properties.base import PropertyResult
from .properties.counterexample import replay_command

FORMAT_VERSION = "1.2"
_MARKS = {
    "passed": "[green]pass[/green]",
    "failed": "[bold red]FAIL[/bold red]",
    "noted": "[yellow]note[/yellow]",
    "undecided": "[bold magenta]????[/bold magenta]",
    "skipped": "[dim]skip[/dim]",
}


def _number(value: float | None) -> float | str | None:
    """JSON has no infinity: identical outputs have an infinite SQNR."""
    if value is None or math.isfinite(value):
        return value
    return str(value)


def _comparison_dict(comparison: Comparison | None) -> dict[str, Any] | None:
    if comparison is None:
        return None
    figures = (
        "max_abs", "mean_abs", "p99_abs", "max_rel", "sqnr_db",
        *(field.name for field in fields(Agreement)), "steps", "worst_expected", "worst_actual",
    )  # fmt: skip
    return {
        "ok": bool(comparison),
        "problem": comparison.problem,
        "detail": comparison.detail,
        "tolerance": str(comparison.tolerance),
        "passing": None if comparison.passing is None else str(comparison.passing),
        "elements": comparison.elements,
        **{name: _number(getattr(comparison, name)) for name in figures},
    }


def to_dict(report: Report) -> dict[str, Any]:
    """Turn a report into plain JSON data."""
    metadata, signature = report.artifact.metadata, report.artifact.signature
    row = ledger_row(report)
    return {
        "format": FORMAT_VERSION,
        "passed": bool(report),
        "outcome": report.outcome,
        "compared": report.compared,
        "would_show": report.would_show,
        "file": report.artifact.path.name,
        "bytes": report.artifact.bytes,
        "sha256": report.sha256,
        "signature": None if signature is None else asdict(signature),
        "name": metadata.name,
        "task": metadata.task,
        "metric": metric_of(metadata).kind,
        "produced_by": metadata.produced_by.model_dump(),
        "provenance": metadata.provenance.model_dump(),
        "quantization": metadata.quantization.model_dump(),
        "tolerance": metadata.tolerance.model_dump(),
        "tolerance_used": report.tolerance,
        "runtime": report.runtime,
        "runtime_detail": report.runtime_detail,
        "reference": report.reference,
        "has_reference": report.has_reference,
        "seed": report.seed,
        "examples": report.examples,
        "seconds": round(report.seconds, 3),
        "ledger_row": None if row is None else row.model_dump(),
        "instructions": report.instructions,
        "instructions_note": report.instructions_note or None,
        "properties": [
            {
                "name": result.name,
                "status": result.status,
                "fault": result.fault or None,
                "reason": result.reason,
                "examples": result.examples,
                "seconds": round(result.seconds, 3),
                "comparison": _comparison_dict(result.comparison),
                "minimal": result.minimal or None,
                "counterexample": str(result.counterexample) if result.counterexample else None,
            }
            for result in report.results
        ],
    }


def ledger_row(report: Report) -> LedgerRow | None:
    """Turn the parity property into a ledger row of this runtime against eager fp32.

    None where parity did not run. For fp32 the figures are those of the worst input drawn, for
    int8 of all inputs together; SQNR of identical outputs is left blank.
    """
    parity = next((r for r in report.results if r.name == "parity"), None)
    if parity is None or parity.comparison is None:
        return None
    figures = parity.comparison
    sqnr = figures.sqnr_db
    if sqnr is not None and not math.isfinite(sqnr):
        sqnr = None
    counted = f"{report.instructions / 1e6:.1f} M instructions" if report.instructions else ""
    return LedgerRow(
        stage=f"{report.runtime} lite",
        inputs=parity.examples,
        max_abs=figures.max_abs,
        sqnr_db=sqnr,
        **{field.name: getattr(figures, field.name) for field in fields(Agreement)},
        mb=report.artifact.bytes / 1e6,
        note=counted,
    )


def to_json(report: Report) -> str:
    """Serialize a report, with a newline at the end."""
    return json.dumps(to_dict(report), indent=2, allow_nan=False) + "\n"


_VERDICTS: dict[Outcome, str] = {
    "proven": "PROVEN on {runtime}: it computes what Python computes",
    "replayed": "REPLAYED, NOT PROVEN on {runtime}: the file gives the outputs that it carries "
    "itself, and nothing was compared with Python",
    "held": "HOLDS on {runtime}: what was asked for, without a comparison with Python",
    "failed": "FAILED on {runtime}: {failed}",
    "undecided": "NO VERDICT on {runtime}: {undecided}",
}
COLORS: dict[Outcome, str] = {
    "proven": "green", "replayed": "yellow", "held": "yellow", "failed": "red",
    "undecided": "magenta",
}  # fmt: skip


def verdict_line(report: Report) -> str:
    """Say in one paragraph what the check found, and what it could not check."""

    def named(*statuses: str) -> str:
        return ", ".join(
            f"{r.name} ({r.fault})" if r.fault else r.name
            for r in report.results
            if r.status in statuses
        )

    undecided = named("undecided") or "nothing was checked"
    line = _VERDICTS[report.outcome].format(
        runtime=report.runtime, failed=named("failed"), undecided=undecided
    )
    if report.outcome == "failed" and named("undecided"):
        line += f"; no verdict: {undecided}"
    signature = report.artifact.signature
    if signature is not None and signature.verified:
        line += f"; {signature}"
    if named("noted"):
        line += f"; worth a look: {named('noted')}"
    return line + "."


def coverage_line(report: Report) -> str:
    """Say which faults the drawn inputs would have shown; "" where nothing was compared."""
    share = report.would_show
    if share is None:
        return ""
    return (
        f"{report.compared} inputs compared with Python: a fault on {share:.1%} or more of such "
        f"inputs would have shown with {CONFIDENCE:.0%} probability (--examples N for more)."
    )


def _lacks_reference(result: PropertyResult, report: Report) -> bool:
    return (
        result.status == "skipped" and not report.has_reference and (result.name in NEEDS_REFERENCE)
    )


def print_report(report: Report, console: Console) -> None:
    """Print one line a property, then the failing ones in full."""
    metadata = report.artifact.metadata
    quantized = metadata.quantization.method
    console.print(
        f"[bold]{escape(printable(metadata.name))}[/bold]  {escape(str(report.artifact.path))}  "
        f"{report.artifact.bytes / 1e6:.2f} MB  {'fp32' if quantized == 'none' else 'int8'}"
    )
    if report.artifact.signature is not None:
        console.print(f"signature  {escape(str(report.artifact.signature))}")
    console.print(f"runtime    {escape(report.runtime_detail)}")
    against = escape(report.reference)
    console.print(f"reference  {against if report.has_reference else 'none. ' + against}")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for result in report.results:
        count = f"{result.examples} inputs" if result.examples else ""
        reason = escape(result.reason)
        if _lacks_reference(result, report):
            reason = "no reference"
        if result.status in ("failed", "undecided"):
            reason = f"{result.fault}, see below"
        table.add_row(_MARKS[result.status], result.name, count, reason)
    console.print(table)
    for result in report.results:
        if result.status in ("failed", "undecided"):
            _print_failure(result, report, console)
    if report.instructions_note:
        counted = f"{report.instructions / 1e6:.1f} M" if report.instructions else "not counted"
        console.print(f"instructions  {counted} ({escape(report.instructions_note)})")
    coverage = coverage_line(report)
    if coverage:
        console.print(escape(coverage))
    style = f"bold {COLORS[report.outcome]}"
    console.print(f"[{style}]{escape(verdict_line(report))}[/{style}] {report.seconds:.1f} s")


def _print_failure(result: PropertyResult, report: Report, console: Console) -> None:
    color = "red" if result.status == "failed" else "magenta"
    console.print(
        f"\n[bold {color}]{result.name}[/bold {color}] ({result.fault}): {escape(result.reason)}"
    )
    comparison = result.comparison
    if result.status == "failed" and comparison is not None and comparison.max_abs is not None:
        console.print(
            f"  worst value at {comparison.worst}: expected {comparison.worst_expected:.7g}, got "
            f"{comparison.worst_actual:.7g}; mean|d| {comparison.mean_abs:.3g}, 99 % within "
            f"{comparison.p99_abs:.3g}, largest relative {comparison.max_rel:.3g}"
        )
        if comparison.passing is not None:
            console.print(f"  would pass with: {comparison.passing}")
    if result.minimal:
        console.print(f"  smallest input that fails: {escape(result.minimal)}")
    if result.counterexample is not None:
        again = replay_command(report.artifact.path, report.runtime, result.counterexample)
        console.print(f"  again: {escape(again)}", soft_wrap=True)
    console.print()


def _metric_columns(report: Report) -> dict[str, str]:
    """Return the figures of the task's metric that the page shows, and their headings."""
    figures = FIGURES[metric_of(report.artifact.metadata).kind]
    # Top-1 stands for both: a page of properties needs no second one.
    return {figure: HEADINGS[figure] for figure in figures if figure != "top5"}


def write_html(report: Report, path: Path) -> None:
    """Write one self-contained page: no scripts, no network, readable in print."""
    metadata = report.artifact.metadata
    facts = {
        "file": f"{report.artifact.path.name}, {report.artifact.bytes:,} bytes",
        "SHA-256": report.sha256,
        "signature": str(report.artifact.signature or "none"),
        "model": f"{metadata.provenance.model} ({metadata.provenance.weights.detail})",
        "made by": f"exporter {metadata.produced_by.exporter}, torch {metadata.produced_by.torch}",
        "task": metadata.task or "unknown",
        "stored as": metadata.quantization.method.replace("none", "float32"),
        "runtime": report.runtime_detail,
        "compared with": report.reference,
        "tolerance": report.tolerance,
        "effort": f"{report.examples} inputs a property, seed {report.seed}, "
        f"{report.seconds:.1f} s",
    }
    if report.instructions is not None:
        facts["instructions"] = f"{report.instructions:,} ({report.instructions_note})"
    values = {
        "name": metadata.name,
        "outcome": report.outcome,
        "verdict": verdict_line(report),
        "coverage": coverage_line(report),
        "facts": facts,
        "columns": _metric_columns(report),
        "results": report.results,
    }
    write_page("report.html", values, path)
