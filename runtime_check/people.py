"""A command line as a person meets it: each error is one paragraph and an exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from .errors import RuntimeCheckError, did_you_mean
from .printable import printable
from .stopping import exit_code, stopped_by

# What typer raises for a command line that it cannot read, whichever click is inside it.
_UsageError: Any = typer.BadParameter.__mro__[1]
_ClickException: Any = typer.BadParameter.__mro__[2]

INTERRUPTED = 128 + 2  # as typer says it
_PIPE_CLOSED = 128 + 13
NO_VERDICT = 3


class SafeConsole(Console):
    """A console on which no text acts, whoever prints it: control characters are spelled out."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Render as rich does; its own control codes are not text, and stay."""
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else printable(segment.text, lines=True)
            yield segment._replace(text=text)


@contextmanager
def people_errors(
    *, traceback: bool = False, ours: type[Exception] | tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turn every error into a paragraph and an exit code; `traceback` lets it through instead.

    `ours` are errors beside `RuntimeCheckError` whose messages are written for people and which
    have an `exit_code`. What nobody expected exits with 3: there is no verdict.
    """
    try:
        yield
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted.", exit_code())
    except BaseException as error:
        if stopped_by():  # what a library made of it
            _say("interrupted.", exit_code())
        if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):
            raise SystemExit(_PIPE_CLOSED) from None  # nobody reads on: `| head`
        if traceback:
            raise
        _say(*_paragraph(error, ours))


def _paragraph(
    error: BaseException, ours: type[Exception] | tuple[type[Exception], ...]
) -> tuple[str, int]:
    if isinstance(error, RuntimeCheckError):
        return str(error), error.exit_code
    if isinstance(error, ours):
        return str(error), int(getattr(error, "exit_code", 2))
    if isinstance(error, _ClickException):
        return _usage(error), 2
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}.", 2
    if isinstance(error, SystemExit):
        return (
            f"Code that was called here ended the process (SystemExit: {error}), so there is no "
            "result. Is it code of your model?"
        ), NO_VERDICT
    return (
        f"This should not have happened: {type(error).__name__}: {error}. Please report it with "
        "what `--traceback` prints."
    ), NO_VERDICT


def _usage(error: Any) -> str:
    """Say what is wrong with the command line, and where its options are listed."""
    context = getattr(error, "ctx", None)
    text = " ".join(str(error.format_message()).split())
    if hasattr(error, "possibilities"):  # an option that there is not
        known = [] if context is None else [o for p in context.command.params for o in p.opts]
        name = error.option_name
        text = f"There is no option {name}.{did_you_mean(name, known, most=1, cutoff=0.7)}"
    where = "" if context is None else f" `{context.command_path} --help` says what there is."
    return f"{text if text.endswith(('.', '?')) else text + '.'}{where}"


def _say(text: str, code: int) -> NoReturn:
    message = Text("error: ", style="bold red").append(printable(text, lines=True), style="default")
    SafeConsole(stderr=True, highlight=False).print(message)
    raise SystemExit(code) from None


def refuse_old_names(arguments: Sequence[str], renamed: Mapping[str, str]) -> None:
    """Raise `RuntimeCheckError` for an option that has another name now: `renamed[old]`."""
    for argument in arguments:
        name = argument.partition("=")[0]
        if name in renamed:
            raise RuntimeCheckError(f"{name} is called {renamed[name]} now.")


def run_app(app: Callable[..., Any], arguments: Sequence[str], *, program: str) -> int:
    """Run a typer app with `arguments` inside `people_errors`; return its exit code."""
    code = app(args=list(arguments), prog_name=program, standalone_mode=False)
    if code == INTERRUPTED:
        raise KeyboardInterrupt  # which typer has made an exit code of
    return code if isinstance(code, int) else 0
