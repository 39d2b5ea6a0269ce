"""Errors as a person sees them: one paragraph and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.text import Text

from runtime_check.errors import RuntimeCheckError

from ..errors import ExportError
from .show import stderr


@contextmanager
def people_errors(*, traceback: bool) -> Iterator[None]:
    """Turn every error into a paragraph and an exit code; `traceback` lets it through instead."""
    try:
        yield
    except Exception as error:
        if traceback:
            raise
        code, text = 2, str(error)
        if isinstance(error, (ExportError, RuntimeCheckError)):
            code = error.exit_code
        else:
            text = (
                f"This should not have happened: {type(error).__name__}: {error}. Please report it "
                "with what `--traceback` prints."
            )
        stderr.print(Text("error: ", style="bold red").append(text, style="default"))
        sys.exit(code)
