"""Every option has one alias, a noun in its help, and values that are typed through."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import pytest

from exporter.cli import app, export, options
from runtime_check.errors import RuntimeCheckError

from .conftest import Done

HINTS = typing.get_type_hints(export.export, include_extras=True)


def names_of(declared: Any) -> tuple[str, ...]:
    return (declared.default, *(declared.param_decls or ()))  # typer takes the first for a default


@pytest.mark.parametrize("name", [name for name in HINTS if name not in ("model", "return")])
def test_an_option_explains_itself(name: str) -> None:
    _, declared = typing.get_args(HINTS[name])[:2]
    assert declared.help.endswith(".")
    assert len(declared.help.split()) > 2, "a word alone explains nothing"
    assert names_of(declared)[0].startswith("-")


@pytest.mark.parametrize("name", ["input", "activation", "capture", "interpolation", "crop_mode"])
def test_choices_are_the_words_of_their_literal(name: str) -> None:
    kind, declared = typing.get_args(HINTS[name])[:2]
    literal = next((k for k in typing.get_args(kind) if typing.get_args(k)), kind)
    words = typing.get_args(literal)
    assert all(word in declared.help for word in words)
    assert [declared.parser(word) for word in words] == [*words]
    with pytest.raises(RuntimeCheckError, match="is one of"):
        declared.parser("other")


def test_lists_are_given_in_one_style() -> None:
    """A list repeats its option; no option takes several words or words with commas."""
    many = [name for name, kind in HINTS.items() if "list[" in str(kind)]
    assert many == ["install", "input_shape", "disable", "target", "float_layers"]
    for name in many:
        declared = HINTS[name].__metadata__[0]
        assert "Repeatable" in declared.help
        assert "..." not in declared.metavar


def test_old_names_are_options_no_more() -> None:
    declared = [d for kind in HINTS.values() for d in getattr(kind, "__metadata__", ())]
    names = {name for option in declared for name in names_of(option)}
    for old, new in options.RENAMED.items():
        assert old not in names
        assert new in names


def test_every_command_is_registered() -> None:
    names = [command.callback.__name__ for command in app.registered_commands]
    assert names == [
        "export",
        "compare",
        "inspect",
        "models",
        "recipes",
        "doctor",
        "sign",
        "keygen",
        "migrate",
    ]


@pytest.mark.parametrize("command", [["--help"], ["export", "--help"], ["inspect", "--help"]])
def test_names_are_whole_on_a_narrow_terminal(
    command: list[str], run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert "…" not in run(*command).out
