"""Options of a command line that take a few words and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, get_args

import typer

from .errors import RuntimeCheckError, did_you_mean

W = TypeVar("W", bound=str)


def one_of(option: str, known: tuple[str, ...]) -> Callable[[str], Any]:
    """Return a parser of `option` for the `known` words; others raise `RuntimeCheckError`."""

    def parse(text: str) -> str:
        if text not in known:
            hint = did_you_mean(text, known, most=1)
            raise RuntimeCheckError(f"{option} is one of {', '.join(known)}, not {text!r}.{hint}")
        return text

    return parse


def chosen(words: Iterable[str] | None, known: tuple[W, ...]) -> tuple[W, ...]:
    """Return the `known` words that a repeated option was given, in the order given.

    typer has no lists of Literals, so such an option is a list of str that `choice` has parsed.
    """
    return tuple(name for word in words or () for name in known if name == word)


def choice(
    option: str, *short: str, literal: Any, help: str, metavar: str = "", panel: str | None = None
) -> Any:
    """Declare an option that takes the words of a `Literal`, and only those.

    The words are in the help, not in the metavar: a wide column of metavars would leave too little
    of an 80-column terminal for the names of the options.
    """
    known = get_args(literal)
    return typer.Option(
        option,
        *short,
        parser=one_of(option, known),
        metavar=metavar or option.removeprefix("--").upper(),
        help=f"{help} One of {', '.join(known[:-1])} and {known[-1]}.",
        rich_help_panel=panel,
    )
