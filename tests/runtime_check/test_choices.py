from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

import pytest
import typer
from typer.testing import CliRunner

from runtime_check import cli
from runtime_check.choices import choice, chosen, one_of
from runtime_check.errors import RuntimeCheckError
from runtime_check.options import PEER_NAMES, PROPERTY_NAMES, RuntimeName

Fruit = Literal["apple", "pear"]


def test_others_are_refused_with_the_nearest() -> None:
    parse = one_of("--fruit", ("apple", "pear"))
    assert parse("pear") == "pear"
    with pytest.raises(RuntimeCheckError, match=r"--fruit is one of apple, pear, not 'aple'. Did"):
        parse("aple")


def test_an_option_takes_several(capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer()

    @app.command()
    def eat(
        fruit: Annotated[Fruit, choice("--fruit", literal=Fruit, help="Fruit to eat.")] = "apple",
        also: Annotated[list[str] | None, choice("--also", literal=Fruit, help="More.")] = None,
    ) -> None:
        print(fruit, *chosen(also, ("apple", "pear")))

    assert CliRunner().invoke(app, []).output == "apple\n"
    done = CliRunner().invoke(app, ["--fruit", "pear", "--also", "pear", "--also", "apple"])
    assert done.output == "pear pear apple\n"
    assert isinstance(CliRunner().invoke(app, ["--also", "plum"]).exception, RuntimeCheckError)
    assert "Fruit to eat. One of apple and pear." in CliRunner().invoke(app, ["--help"]).output


@pytest.mark.parametrize("command", ["check", "bench", "fuzz"])
def test_words_are_whole_on_a_narrow_terminal(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    output = CliRunner().invoke(cli.app, [command, "--help"]).output
    known = {"check": (*PROPERTY_NAMES, *get_args(RuntimeName)), "bench": PEER_NAMES}
    assert "…" not in output
    for word in known.get(command, ()):
        assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", output), word
