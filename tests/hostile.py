"""Records of an artifact in which every free text is hostile to a terminal and to a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)
Path = tuple[str | int, ...]

# A terminal's codes, letters turned around, a false line, markup of rich and of HTML, and what
# templates and shells would act on.
EVIL = "\x1b[31m\x9b2J\u202e\x07\n[bold]pass[/x]</script><b onload=x>{{ 7 * 7 }}`$(x)\\"
# Whose content says how other fields are read.
_NOT_FREE = ("schema_version", "data", "png")
ACTING = "\x1b\x9b\u202e\x07"


def hostile(record: M) -> M:
    """Return `record` with `EVIL` in front of every text, and key, that may be any text."""
    value = json.loads(record.model_dump_json())
    for path, text in list(_texts(value)):
        if path[-1] not in _NOT_FREE:
            _try(type(record), value, path, EVIL + text)
    for path in _mappings(record):
        inner = _at(value, path)
        for key in list(inner):
            inner[EVIL + key] = inner.pop(key)
    return type(record).model_validate(value)


def count(record: BaseModel) -> int:
    """Count the texts and keys that hold `EVIL`."""
    return record.model_dump_json().count(json.dumps(EVIL, ensure_ascii=False)[1:-1])


def _texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(inner, (*path, key))


def _mappings(record: object, path: Path = ()) -> Iterator[Path]:
    """Yield the places of dictionaries whose keys are data."""
    if isinstance(record, dict):
        yield path
    elif isinstance(record, BaseModel):
        for name, inner in record:
            yield from _mappings(inner, (*path, name))
    elif isinstance(record, (list, tuple)):
        for index, inner in enumerate(record):
            yield from _mappings(inner, (*path, index))


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def _try(model: type[BaseModel], value: Any, path: Path, text: str) -> None:
    holder = _at(value, path[:-1])
    old, holder[path[-1]] = holder[path[-1]], text
    try:
        model.model_validate(value)
    except ValidationError:  # one of a few words
        holder[path[-1]] = old
