"""The command line: each command is one call of the Python interface."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import takewhile

import typer

from runtime_check.people import people_errors, refuse_old_names, run_app

from ..errors import ExportError, UsageError, did_you_mean
from . import compare, export, inspect, migrate, sign
from .options import RENAMED

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.callback(invoke_without_command=True)(export.default)
COMMANDS = (
    export.export, compare.compare, inspect.inspect, inspect.models, inspect.recipes,
    inspect.doctor, sign.sign, sign.keygen, migrate.migrate,
)  # fmt: skip
for command in COMMANDS:
    app.command()(command)


def _refuse_unknown_commands(arguments: Sequence[str]) -> None:
    # `python -m exporter resnet18` forgets the command: say so.
    first = next(iter(arguments), "-")
    known = [command.__name__ for command in COMMANDS]
    if first.startswith("-") or first in known:
        return
    hint = did_you_mean(first, known, most=1) or f" Did you mean export {first}?"
    raise UsageError(f"There is no command {first!r}.{hint} Commands: {', '.join(known)}.")


def _refuse_a_list_of_apps(arguments: Sequence[str]) -> None:
    """Refuse `--install a b`: `b` would be taken for a command, or for one model too many."""
    known = [command.__name__ for command in COMMANDS]
    first = list(takewhile(lambda word: not word.startswith("-"), arguments))
    for option, app_folder, extra in zip(arguments, arguments[1:], arguments[2:], strict=False):
        too_many = len(first) > 1 or (not first and extra not in known)
        if option == "--install" and too_many and not extra.startswith("-"):
            raise UsageError(
                f"--install takes one folder. For several repeat it: `--install {app_folder} "
                f"--install {extra}`."
            )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, and end the process with its exit code."""
    words = [*(sys.argv[1:] if arguments is None else arguments)]
    with people_errors(traceback="--traceback" in words, ours=ExportError):
        refuse_old_names(words, RENAMED)
        _refuse_unknown_commands(words)
        _refuse_a_list_of_apps(words)
        code = run_app(app, words, program="python -m exporter")
    sys.exit(code)
