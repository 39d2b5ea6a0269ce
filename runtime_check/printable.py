"""Text from elsewhere, shown: it is read by a person and acts on nothing.

Names and sentences in a file can hold codes that move a terminal's cursor, recolor it, or turn the
order of the letters around, so that a verdict reads otherwise than it is.
"""

from __future__ import annotations

import unicodedata

# Parts of words and of emoji, and spaces, which show nothing and change nothing.
_HARMLESS = "\u200c\u200d\u00ad"


def printable(text: str, *, lines: bool = False) -> str:
    r"""Spell out what is not to be seen: control characters, directions, halves of characters.

    `ESC` becomes `\x1b`, and a line break `\n` except where `lines` says that there may be several.
    """
    if text.isprintable():
        return text
    return "".join(c if _shows(c) or (lines and c in "\n\t") else repr(c)[1:-1] for c in text)


def _shows(character: str) -> bool:
    if character.isprintable() or character in _HARMLESS:
        return True
    return unicodedata.category(character) == "Zs"
