"""A child's answer is believed field by field, or not at all."""

from __future__ import annotations

import math

import pytest

from runtime_check.runtimes.answers import MAX_TEXT, Answer


def test_fields_of_the_right_type() -> None:
    fields = {"ok": True, "seconds": 1, "each": [0, 2.5], "version": "2.1.0"}
    answer = Answer(fields, [])
    assert answer.flag("ok") is True
    assert answer.number("seconds") == 1.0
    assert answer.numbers("each", 2) == (0.0, 2.5)
    assert answer.text("version") == "2.1.0"


@pytest.mark.parametrize(
    "value", [None, True, "1", [1], {}, -1, -0.5, math.nan, math.inf, 10**400, 2**63]
)
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(ValueError, match="'seconds'"):
        Answer({"seconds": value}, []).number("seconds")
    with pytest.raises(ValueError, match="'seconds'"):
        Answer({"seconds": [value]}, []).numbers("seconds", 1)


def test_as_many_numbers_as_repeats() -> None:
    for value in ([1.0], [1.0] * 3, 1.0, "11", None):
        with pytest.raises(ValueError, match="2 numbers"):
            Answer({"seconds": value}, []).numbers("seconds", 2)


@pytest.mark.parametrize("value", [None, 0, 1, "true", []])
def test_what_is_no_flag(value: object) -> None:
    with pytest.raises(ValueError, match="'ok'"):
        Answer({"ok": value}, []).flag("ok")
    with pytest.raises(ValueError, match="'ok'"):
        Answer({}, []).flag("ok")


def test_text_is_short_and_obeyed_by_no_terminal() -> None:
    text = "line\n\tone\x1b[2J\x07\ud800\u202e end"
    assert (
        Answer({"error": text}, []).text("error")
        == r"""line
	one\x1b[2J\x07\ud800\u202e end"""
    )
    assert len(Answer({"error": "x" * (MAX_TEXT + 1)}, []).text("error")) == MAX_TEXT
    for value in (None, 3, ["x"]):
        with pytest.raises(ValueError, match="'error'"):
            Answer({"error": value}, []).text("error")
