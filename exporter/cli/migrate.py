"""The command that moves a `.ptl` to ExecuTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from . import options, quantization
from .show import as_json, print_json, progress, show_export, show_rows, stdout


def migrate(
    file: Annotated[Path, typer.Argument(help="A .ptl file that was exported by name.")],
    out: options.Out = Path("build"),
    weights: options.Weights = None,
    calibration: quantization.Calibration = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Export the model behind a `.ptl` again for ExecuTorch, with the same recipe.

    What the file says of itself is enough where the model has a name; its weights are compared by
    SHA-256.
    """
    from ..migrate import migrate as run_migrate

    with progress(not (json or quiet)) as (on_step, _):
        made = run_migrate(file, out=out, weights=weights, calibration=calibration, on_step=on_step)
    if json:
        print_json({**as_json(made.after), "changes": list(made.changes)})
    elif not quiet:
        show_export(made.after)
        before, after = made.before.metadata, made.after.metadata
        ledgers = {file.name: before.ledger, made.after.path.name: after.ledger}
        show_rows(ledgers, f"{after.name}, before and after")
        stdout.print("[bold]what changes for an app[/]")
        for change in made.changes:
            stdout.print(Text(f"  {change}"), soft_wrap=True)
