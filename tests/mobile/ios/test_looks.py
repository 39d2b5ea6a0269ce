"""The icon, and that every text of the app's screens is in the catalog in both languages."""

from __future__ import annotations

import json
import plistlib
import re
from collections.abc import Iterator

import numpy as np
from PIL import Image

from .icon import FILE, icon
from .sources import PREVIEW
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


def test_the_asset_catalog_is_complete() -> None:
    catalog = APP / "App/Assets.xcassets"
    for folder in (catalog, *catalog.iterdir()):
        if folder.is_dir():
            assert json.loads((folder / "Contents.json").read_text(encoding="utf-8"))["info"]
    assert (catalog / "AppIcon.appiconset").is_dir()
    assert (catalog / "AccentColor.colorset").is_dir()


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


def views() -> Iterator[tuple[str, str]]:
    """Name and text of every source with a view in it."""
    for path in sorted((APP / "App").glob("*.swift")):
        text = path.read_text(encoding="utf-8")
        if re.search(r"struct \w+: (?:View|UIViewRepresentable)\b", text):
            yield path.name, text


def test_every_screen_has_a_preview() -> None:
    for name, text in views():
        assert PREVIEW.search(text), name
        for shown_view in ("ContentView", "CameraView", "ModelSection", "ResultSection"):
            if f"struct {shown_view}:" in text:
                assert f"{shown_view}(" in text[PREVIEW.search(text).start() :], shown_view


def test_nothing_cuts_text_that_is_large() -> None:
    """Dynamic Type, as far as the sources tell: no text has a size, a height or a number of lines
    of its own, and what may not fit has another way to stand, or scrolls."""
    cutting = (
        r"\.lineLimit|\.minimumScaleFactor|\.dynamicTypeSize|\.fixedSize|\.truncationMode"
        r"|\.system\(size:|\.custom\(|\.frame\([^)]*\b(?:height|minHeight|idealHeight|width):"
    )
    for name, text in views():
        assert not re.search(cutting, text), name
    everything = "".join(text for _, text in views())
    # The one limit there is: how high the photo stands in a list.
    limited = re.findall(r"(\w+)\([^()]*\)\s*\.frame\(maxHeight: ", everything)
    assert limited == ["PhotoView"]
    assert "ViewThatFits(in: .horizontal)" in everything
    assert "ViewThatFits(in: .vertical)" in everything


def test_rows_keep_their_identity() -> None:
    """A list of places would make each row another one whenever the order changes."""
    found = [(name, row) for name, text in views() for row in re.findall(r"ForEach\((.*)", text)]
    assert len(found) > 5
    for name, row in found:
        assert not re.search(r"indices|enumerated|0\.\.<", row), f"{name}: {row}"


def test_screens_have_two_columns_where_there_is_room() -> None:
    content = dict(views())["ContentView.swift"]
    assert "width == .regular || height == .compact" in content
    info = plistlib.loads((APP / "App/Info.plist").read_bytes())
    upright, left = "UIInterfaceOrientationPortrait", "UIInterfaceOrientationLandscapeLeft"
    assert {upright, left} <= set(info["UISupportedInterfaceOrientations"])
    assert len(info["UISupportedInterfaceOrientations~ipad"]) == 4
    # Beside another app on an iPad, too.
    assert "UIRequiresFullScreen" not in info
    project = (APP / "LiteDemo.xcodeproj/project.pbxproj").read_text(encoding="utf-8")
    assert project.count('TARGETED_DEVICE_FAMILY = "1,2";') == 2


def test_what_the_system_asks_is_in_both_languages() -> None:
    catalog = json.loads((APP / "App/InfoPlist.xcstrings").read_text(encoding="utf-8"))
    info = plistlib.loads((APP / "App/Info.plist").read_bytes())
    assert set(catalog["strings"]) == {"NSCameraUsageDescription", "CFBundleDisplayName"}
    for key, value in catalog["strings"].items():
        said = {code: one["stringUnit"]["value"] for code, one in value["localizations"].items()}
        assert set(said) == {"en", "de"}
        assert said["en"] == info[key]
    camera = catalog["strings"]["NSCameraUsageDescription"]["localizations"]
    assert "Kamera" in camera["de"]["stringUnit"]["value"]
    project = (APP / "LiteDemo.xcodeproj/project.pbxproj").read_text(encoding="utf-8")
    assert re.search(r"knownRegions = \(\s*en,\s*de,", project)


def test_the_photo_on_the_screen_is_never_decoded_whole() -> None:
    """A photo of 48 megapixels would take 195 MB: the screen gets a smaller one."""
    sources = "".join(path.read_text(encoding="utf-8") for path in (APP / "App").glob("*.swift"))
    assert not re.search(r"UIImage\((?:data|contentsOfFile):", sources)
    made = re.search(r"func smallPicture.*?\n}\n", sources, re.S)
    assert made
    assert "kCGImageSourceThumbnailMaxPixelSize as String: shownSide" in made.group()
    assert "UIImage(cgImage: $0)" in made.group()
    assert sources.count("UIImage(") == 1
