"""Frozen options hold what their annotations say, or say what they wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from runtime_check.errors import RuntimeCheckError
from runtime_check.values import require_seed, require_types


@dataclass(frozen=True)
class Options:
    word: Literal["a", "b"] = "a"
    count: int = 0
    share: float | None = None
    names: tuple[str, ...] = ()
    place: Path | tuple[str, ...] | None = None
    on: bool = False

    def __post_init__(self) -> None:
        require_types(self)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"count": np.int64(3), "share": 1, "names": ("x",), "place": Path("x"), "on": True},
        {"share": np.float32(0.5)},
    ],
)
def test_what_fits(values: dict[str, Any]) -> None:
    assert vars(Options(**values)) == {**vars(Options()), **values}


def test_sequences_become_tuples_and_one_name_one_name() -> None:
    assert Options(names=["x", "y"]).names == ("x", "y")  # type: ignore[arg-type]
    assert Options(names="xy").names == ("xy",)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"count": 1.5}, "--count takes a whole number, not 1.5"),
        ({"count": True}, "--count takes a whole number, not True"),
        ({"count": None}, "--count takes a whole number, not None"),
        ({"share": "x"}, "--share takes a number, not 'x'"),
        ({"on": 1}, "--on takes True or False, not 1"),
        ({"word": 3}, "--word takes one of a, b, not 3"),
        ({"names": (1,)}, "--names takes several, each a text, not"),
        ({"place": 3}, "--place takes a path or several, each a text, not 3"),
    ],
)
def test_what_does_not(values: dict[str, Any], says: str) -> None:
    with pytest.raises(RuntimeCheckError, match=says):
        Options(**values)


@pytest.mark.parametrize("seed", [-1, 2**63, 2**70])
def test_seeds_have_63_bits(seed: int) -> None:
    require_seed(0)
    require_seed(2**63 - 1)
    with pytest.raises(ValueError, match=f"--seed .* not {seed}"):
        require_seed(seed, ValueError)
