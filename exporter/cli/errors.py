"""Errors as a person sees them: one paragraph and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, cast

import typer
from rich.text import Text

from runtime_check.errors import RuntimeCheckError

from ..errors import ExportError
from .show import stderr


def fail(error: Exception, *, traceback: bool) -> NoReturn:
    """Print one paragraph for a person and exit with the error's code."""
    if traceback:
        raise error
    known = isinstance(error, (ExportError, RuntimeCheckError))
    code = cast(Any, error).exit_code if known else 2
    text = (
        str(error)
        if known
        else (
            f"This should not have happened: {type(error).__name__}: {error}. Please report it "
            "with what `--traceback` prints."
        )
    )
    stderr.print(Text("error: ", style="bold red").append(text, style="default"))
    raise typer.Exit(code)


@contextmanager
def people_errors(traceback: bool) -> Iterator[None]:
    """Turn every error into a paragraph and an exit code."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:  # noqa: BLE001  the last line of defence before a person
        fail(error, traceback=traceback)
