"""Whatever goes wrong is one paragraph and an exit code; a silent end is no success."""

from __future__ import annotations

import errno
import io
import re
from typing import Any

import pytest
import typer
from rich.table import Table
from rich.text import Text

from runtime_check.errors import ParityError, RuntimeCheckError
from runtime_check.people import SafeConsole, people_errors, run_app


class OursError(Exception):
    exit_code = 1


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (RuntimeCheckError("A sentence."), 2, "error: A sentence."),
        (ParityError("They differ."), 1, "error: They differ."),
        (OursError("Ours."), 1, "error: Ours."),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "error: No space left on device."),
        (FileNotFoundError(2, "No such file", "a/b"), 2, "error: a/b: No such file."),
        (ZeroDivisionError("by [/x] zero"), 3, "happened: ZeroDivisionError: by [/x] zero. Please"),
        (SystemExit(0), 3, "ended the process (SystemExit: 0)"),
        (GeneratorExit(), 3, "GeneratorExit"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors(
    error: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, people_errors(ours=OursError):
        raise error
    assert ended.value.code == code
    assert says in " ".join(capsys.readouterr().err.split())
    if code != 130:
        with pytest.raises(type(error)), people_errors(ours=OursError, traceback=True):
            raise error


def test_a_closed_pipe_is_not_a_failed_file() -> None:
    as_typer_raises_it = SystemExit(1)
    as_typer_raises_it.__context__ = BrokenPipeError(errno.EPIPE, "Broken pipe")
    with pytest.raises(SystemExit) as ended, people_errors():
        raise as_typer_raises_it
    assert ended.value.code == 141


def test_control_characters_are_spelled_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), people_errors():
        raise RuntimeCheckError("a\x1b[31mred\x07 [bold]b[/x]\nc\u202e")
    assert capsys.readouterr().err == "error: a\\x1b[31mred\\x07 [bold]b[/x]\nc\\u202e\n"


def test_a_safe_console_spells_out_whatever_is_printed() -> None:
    sink = io.StringIO()
    console = SafeConsole(file=sink, force_terminal=True, width=60, highlight=False)
    table = Table("x", title="a\x1b]0;title\x07")
    table.add_row("[bold]cell\x9b[/bold]", Text("\u202etext\x1b"))
    console.print(table, "plain\x1b[2J", Text("red", style="red"))
    shown = sink.getvalue()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)  # rich's own colors
    assert not set("\x1b\x07\x9b\u202e") & set(plain)
    assert "a\\x1b]0;title" in shown
    assert "plain\\x1b[2J" in shown
    assert "\x1b[31mred\x1b[0m" in shown


def small_app() -> typer.Typer:
    app = typer.Typer(add_completion=False)

    @app.command()
    def one(name: str, times: int = typer.Option(1, "--times", min=1)) -> None:
        raise typer.Exit(times)

    @app.command()
    def two() -> None:
        pass

    return app


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["one", "x", "--tims", "2"], "There is no option --tims. Did you mean --times?"),
        (["one", "x", "--times", "0"], "'--times'"),
        (["one", "x", "--times", "many"], "'--times'"),
        (["one"], "Missing argument"),
        (["one", "x", "y"], "unexpected extra argument"),
        (["on"], "No such command 'on'"),
    ],
)
def test_a_wrong_command_line_is_one_plain_paragraph(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, people_errors():
        run_app(small_app(), arguments, program="prog")
    err = capsys.readouterr().err
    assert ended.value.code == 2
    assert err.startswith("error: ")
    assert says in " ".join(err.split())
    assert "--help` says what there is." in " ".join(err.split())
    assert not set("│╭╰") & set(err)


@pytest.mark.parametrize(("arguments", "code"), [(["one", "x", "--times", "3"], 3), (["two"], 0)])
def test_exit_codes(arguments: list[Any], code: int) -> None:
    assert run_app(small_app(), arguments, program="prog") == code
