"""The icon, and that every text of the app's screens is in the catalog in both languages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
from PIL import Image

from .icon import FILE, icon
from .tools import APP

CATALOG = APP / "App/Localizable.xcstrings"
# What SwiftUI looks up: the first text of these views, modifiers and functions of ours.
PLACES = (
    r"(?:\bText|\bLabel|\bButton|\bSection|\bPicker|\bLabeledContent|\bContentUnavailableView"
    r"|\bSharePreview|\.navigationTitle|\.accessibilityLabel|\.accessibilityHint|\bmessage"
    r"|\bworking)\(\s*|\(\s*localized: "
)
LITERAL = r'"((?:[^"\\]|\\\((?:[^()"]|"[^"]*"|\((?:[^()"]|"[^"]*")*\))*\))*)"'
PUT_IN = r'\\\((?:[^()"]|"[^"]*"|\((?:[^()"]|"[^"]*")*\))*\)'


def shown() -> Iterator[str]:
    """Every text that is looked up, with `%` in place of what is put into it."""
    for path in (APP / "App").glob("*.swift"):
        for text in re.findall(f"(?:{PLACES}){LITERAL}", path.read_text(encoding="utf-8")):
            yield re.sub(PUT_IN, "%", text)


def test_the_icon_is_the_one_that_is_drawn() -> None:
    with Image.open(FILE) as committed:
        assert (committed.size, committed.mode) == ((1024, 1024), "RGB")
        apart = np.asarray(committed, np.int16) - np.asarray(icon(), np.int16)
    assert np.abs(apart).max() <= 2
    contents = json.loads((FILE.parent / "Contents.json").read_text(encoding="utf-8"))
    assert [one["filename"] for one in contents["images"]] == [FILE.name]


def test_every_text_is_in_both_languages() -> None:
    catalog = json.loads(CATALOG.read_text(encoding="utf-8"))
    assert catalog["sourceLanguage"] == "en"
    known = {re.sub(r"%(?:lld|@)", "%", key): value for key, value in catalog["strings"].items()}
    found = set(shown())
    assert len(found) > 50
    assert found == set(known)
    for key, value in catalog["strings"].items():
        german = value["localizations"]["de"]["stringUnit"]
        assert german["state"] == "translated"
        # Placeholders in the same order: none of them is numbered.
        assert re.findall(r"%(?:lld|@)", german["value"]) == re.findall(r"%(?:lld|@)", key), key
