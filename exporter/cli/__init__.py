"""The command line: each command is one call of the Python interface."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import typer
from rich.text import Text

from . import export, inspect
from .show import APPS, stderr

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.callback(invoke_without_command=True)(export.default)
for command in (export.export, inspect.inspect, inspect.models, inspect.recipes, inspect.doctor):
    app.command()(command)


def _spread_install(arguments: Sequence[str]) -> list[str]:
    """Let `--install` take several folders: `--install a b` becomes `--install a --install b`."""
    spread: list[str] = []
    taking = False
    for argument in arguments:
        if argument == "--install":
            taking = True
        elif (
            taking
            and not argument.startswith("-")
            and (spread[-1] == "--install" or argument in APPS or Path(argument).is_dir())
        ):
            if spread[-1] != "--install":
                spread.append("--install")
        else:
            taking = False
        spread.append(argument)
    return spread


def _help_with_model(arguments: Sequence[str]) -> None:
    """Recognise `python -m exporter resnet18`, which forgot the command."""
    import difflib

    first = next(iter(arguments), "")
    commands = [
        command.name or cast(Any, command.callback).__name__ for command in app.registered_commands
    ]
    if not first or first.startswith("-") or first in commands:
        return
    near = difflib.get_close_matches(first, commands, n=1)
    hint = f"Did you mean `{near[0]}`?" if near else f"Did you mean `export {first}`?"
    stderr.print(
        Text("error: ", style="bold red").append(
            f"There is no command {first!r}. {hint} Commands: {', '.join(commands)}.",
            style="default",
        )
    )
    raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    given = _spread_install(sys.argv[1:] if arguments is None else arguments)
    _help_with_model(given)
    app(args=given, prog_name="python -m exporter")
