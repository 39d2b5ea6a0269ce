"""Whether the fields of frozen options hold what their annotations say; free of torch."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import RuntimeCheckError

LARGEST_SEED = 2**63 - 1
_SAID: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "a text",
    Path: "a path",
}


def option_name(field: str) -> str:
    """Return the option of the command line for a field: `--crop-pct`."""
    return f"--{field.replace('_', '-')}"


def require_types(options: object, error: type[Exception] = RuntimeCheckError) -> None:
    """Check each field of frozen options against its annotation; lists become tuples first.

    One text where several are taken is one of them, not its letters. Raises `error`.
    """
    hints = get_type_hints(type(options))
    for field in fields(options):  # type: ignore[arg-type]  # a dataclass, as its name says
        kinds, value = members(hints[field.name]), getattr(options, field.name)
        given = value
        if any(get_origin(kind) is tuple for kind in kinds) and not _fits(value, kinds):
            given = (value,) if isinstance(value, str) else _as_tuple(value)
            object.__setattr__(options, field.name, given)
        if not _fits(given, kinds):
            wanted = " or ".join(dict.fromkeys(_said(k) for k in kinds if k is not NoneType))
            raise error(f"{option_name(field.name)} takes {wanted}, not {value!r:.80}.")


def require_seed(seed: int, error: type[Exception] = RuntimeCheckError) -> None:
    """Raise `error` for a seed that torch's generators or the metadata's readers cannot hold."""
    if not 0 <= seed <= LARGEST_SEED:
        raise error(f"--seed takes a whole number from 0 to {LARGEST_SEED}, not {seed}.")


def members(kind: Any) -> tuple[Any, ...]:
    """Return the types of a union; of anything else, itself alone."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, Iterable) else value


def _fits(value: object, kinds: Sequence[Any]) -> bool:
    return any(_fits_one(value, kind) for kind in kinds)


def _fits_one(value: object, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str)
    if get_origin(kind) is tuple:
        inner = members(get_args(kind)[0])
        return isinstance(value, tuple) and all(_fits(item, inner) for item in value)
    if kind is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool)
    return isinstance(value, kind)


def _said(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) is tuple:
        return f"several, each {_said(get_args(kind)[0])}"
    return _SAID.get(kind) or f"a {kind.__name__}"
