from __future__ import annotations

from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

from runtime_check.choices import choice, chosen, one_of
from runtime_check.errors import RuntimeCheckError

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
    assert "apple|pear" in CliRunner().invoke(app, ["--help"]).output
