"""What an author's code raises is told with the author's line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from runtime_check.blame import authors_code, authors_line, sentence
from runtime_check.errors import BuildError, UnreadableArtifact


def ends() -> None:
    raise SystemExit(0)


def deep_in_torch() -> None:
    torch.nn.Linear(3, 2)(torch.zeros(4))


def line_of(function: Callable[[], None]) -> str:
    lines, first = inspect.getsourcelines(function)
    path = Path(__file__)
    path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{path}, line {first + len(lines) - 1}"


@pytest.mark.parametrize("function", [ends, deep_in_torch])
def test_the_line_is_the_authors(function: Callable[[], None]) -> None:
    with pytest.raises(BuildError) as caught, authors_code("Calling it", hint="And now?"):
        function()
    assert str(caught.value).endswith(f"({line_of(function)}). And now?")
    assert str(caught.value).startswith("Calling it raised ")


def test_a_line_of_ours_is_nobody_elses() -> None:
    from runtime_check.files import file_sha256

    with pytest.raises(OSError) as caught:
        file_sha256("no/such/file")
    assert authors_line(caught.value) == ""


def test_messages_are_one_line() -> None:
    assert sentence(ValueError("a\n  b")) == "ValueError: a b"
    assert sentence(GeneratorExit()) == "GeneratorExit: no message"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UnreadableArtifact("x"), BuildError("y")])
def test_ctrl_c_and_our_own_errors_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, authors_code("Calling it"):
        raise error
    assert caught.value is error
