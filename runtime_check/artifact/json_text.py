"""JSON from elsewhere, parsed only after it was seen to be small, and read by all alike.

A parser makes some hundred bytes of every `[],`, so a few megabytes of text could fill the memory.
And where one field is named twice, some readers take the first and some the last.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

# Ours have a value a label (ImageNet-22k: 21,841), and six levels.
MAX_VALUES = 250_000
MAX_DEPTH = 32
MAX_TEXT_IN_ERROR = 60
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class BadJson(ValueError):
    """The text is not JSON that is read; the message says why."""


def read_json(text: bytes) -> Any:
    """Parse JSON of at most `MAX_VALUES` values, `MAX_DEPTH` deep, in time linear in its length.

    NaN, infinity, numbers that only fit infinity, and fields named twice are refused. Raises
    `BadJson`.
    """
    _check_size(text)
    try:
        return json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_fields,
            parse_constant=_finite,
            parse_float=_finite,
        )
    except BadJson:
        raise
    except (ValueError, RecursionError) as error:
        raise BadJson(f"it does not parse ({type(error).__name__})") from error


def _check_size(text: bytes) -> None:
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 2 * MAX_VALUES:
        raise BadJson(f"it has more than {MAX_VALUES} texts")
    bare = b"".join(plain.split(b'"')[::2])  # what is between the texts
    brackets = bare.translate(None, delete=_NOT_BRACKETS)
    values = sum(bare.count(mark) for mark in (b",", b":", b"[", b"{"))
    if max(values, len(brackets) // 2) > MAX_VALUES:
        raise BadJson(f"it has more than {MAX_VALUES} values")
    depth = deepest = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise BadJson(f"it is nested more than {MAX_DEPTH} levels deep")


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise BadJson(f"it has two fields called {twice[:MAX_TEXT_IN_ERROR]!r}")
    return fields


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise BadJson(f"it holds the number {text[:MAX_TEXT_IN_ERROR]}")
    return value
