"""Text from a file is shown as it is written, and does nothing."""

from __future__ import annotations

import pytest

from runtime_check.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("Größe 7 % 猫 \\x1b", "Größe 7 % 猫 \\x1b"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\r\nb\tc\0", "a\\r\\nb\\tc\\x00"),
        ("\x7f\x80\x9b31m", "\\x7f\\x80\\x9b31m"),
        ("\u202egpj.exe\u202c", "\\u202egpj.exe\\u202c"),
        ("\u2066a\u2069\u200e\u200f\u061c", "\\u2066a\\u2069\\u200e\\u200f\\u061c"),
        ("a\u2028b\u2029c\u0085d", "a\\u2028b\\u2029c\\x85d"),
        ("\ufeffa\u200bb\U000e0041", "\\ufeffa\\u200bb\\U000e0041"),
        ("a\ud800b\udc80", "a\\ud800b\\udc80"),  # as undecodable names of files have them
        ("1\u00a0000 \u3000", "1\u00a0000 \u3000"),
        ("\u0646\u200c\u0627 \u2764\u200d\u2764", "\u0646\u200c\u0627 \u2764\u200d\u2764"),
    ],
)
def test_what_acts_is_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_lines_may_stay() -> None:
    assert printable("a\n\tb\r\x1b", lines=True) == "a\n\tb\\r\\x1b"
