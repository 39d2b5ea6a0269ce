"""Say what became of the damaged copies."""

from __future__ import annotations

import json

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .fuzz import FuzzResult


def to_json(result: FuzzResult) -> str:
    """Serialize a fuzz run, with a newline at the end."""
    listed = [
        {
            "kind": f.mutation.kind,
            "seed": f.mutation.seed,
            "outcome": f.outcome,
            "message": f.message,
        }
        for f in result.findings
    ]
    return (
        json.dumps(
            {
                "file": result.file,
                "mutations": result.mutations,
                "seed": result.seed,
                "seconds": round(result.seconds, 3),
                "restarts": result.restarts,
                "outcomes": result.outcomes,
                "findings": listed,
                "passed": bool(result),
            },
            indent=2,
        )
        + "\n"
    )


def print_fuzz(result: FuzzResult, console: Console) -> None:
    """Print a table of outcomes by kind of damage, then the findings."""
    seen = ("refused", "detected", "same", "crashed", "hung", "undetected", "error")
    columns = [name for name in seen if any(name in c for c in result.outcomes.values())]
    table = Table(box=None, pad_edge=False)
    table.add_column("damage")
    for name in columns:
        table.add_column(name, justify="right")
    for kind, counts in result.outcomes.items():
        table.add_row(kind, *(str(counts.get(name, "")) for name in columns))
    console.print(table)
    console.print(
        f"{result.mutations} damaged copies of {escape(result.file)} in {result.seconds:.0f} s, "
        f"seed {result.seed}; the loader was started again {result.restarts} times."
    )
    shown = result.findings[:12]
    for finding in shown:
        console.print(
            f"[yellow]{finding.outcome}[/yellow] {finding.mutation.kind}, seed "
            f"{finding.mutation.seed}: {escape(finding.message)}"
        )
    if len(result.findings) > len(shown):
        console.print(f"... and {len(result.findings) - len(shown)} more (--json lists them).")
    word = "[green]Every copy got a verdict.[/green]"
    console.print(
        word if result else "[bold red]Some copies got no verdict, or a wrong one.[/bold red]"
    )
