"""`python -m runtime_check device ...`: install the device runtimes and say what is there."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer
from rich.table import Table

from ..people import SafeConsole
from .install import DEFAULT_RUNTIME
from .install import install as install_runtime
from .install import status as runtime_status
from .toolchain import RUNTIMES, cache_root

app = typer.Typer(
    help="The phones' runtimes on this machine: torch and ExecuTorch for ARM64, emulated by qemu.",
    no_args_is_help=True,
)


@app.command()
def install(
    runtime: Annotated[str, typer.Argument(help=", ".join(RUNTIMES))] = DEFAULT_RUNTIME,
    force: Annotated[bool, typer.Option("--force", help="build anew what is there")] = False,
) -> None:
    """Download the pinned wheel (SHA-256 verified), build the runner, and try it."""
    console = SafeConsole(stderr=True)
    with console.status(f"installing {runtime}") as spinner:
        ready = install_runtime(
            runtime, force=force, say=lambda text: spinner.update(f"{runtime}: {text}")
        )
    console.print(f"[green]{runtime} is ready[/green]: {ready.runtime.description}")
    console.print(f"  runner: {ready.runner}", soft_wrap=True, highlight=False)
    counts = ready.plugin_reason or "yes"
    console.print(f"  instruction counts: {counts}", soft_wrap=True, highlight=False)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False,
) -> None:
    """Say which device runtimes are installed, and what the others need."""
    report = runtime_status()
    if as_json:
        data = {"cache": str(cache_root()), "runtimes": [dataclasses.asdict(e) for e in report]}
        typer.echo(json.dumps(data, indent=2, default=str))
        return
    console = SafeConsole()
    table = Table(title="Device runtimes", title_justify="left")
    for column in ("runtime", "what it is", "state", "counts instructions", "MB"):
        table.add_column(column, overflow="fold", justify="right" if column == "MB" else "left")
    for entry in report:
        state = "[green]ready[/green]" if entry.installed else "[yellow]not installed[/yellow]"
        size = f"{entry.size_bytes / 1e6:.0f}" if entry.installed else ""
        table.add_row(entry.name, entry.description, state, entry.instruction_counts, size)
    console.print(table)
    console.print(f"cache: {cache_root()}", soft_wrap=True, highlight=False)
    for entry in report:
        if not entry.installed:
            console.print(f"{entry.name}: {entry.detail}", soft_wrap=True, highlight=False)
