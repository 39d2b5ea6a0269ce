"""The DocC catalog of the package: its examples compile, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

from .sources import LITE_FILE, PACKAGE_SOURCES, typecheck
from .tools import PACKAGE, Swift

CATALOG = PACKAGE / "Sources/LiteClassifier/Documentation.docc"
LANDING = (CATALOG / "LiteClassifier.md").read_text(encoding="utf-8")
HOW_TO = (CATALOG / "RunAModel.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```swift\n(.+?)```", HOW_TO, re.S)

# What the examples take for granted: a file, a decoder, and somewhere to show a text.
AROUND = """
import Foundation
import LiteClassifier

@Sendable func show(_ text: String) {{}}
@Sendable func decoded(_ width: Int, _ height: Int) throws -> RGBImage {{
  throw VisionError.photoUnreadable(why: "of a test")
}}

func articles(_ file: URL) async throws {{
{0}
}}
"""


def test_the_landing_page_is_the_modules_and_leads_to_the_how_to() -> None:
    assert LANDING.startswith("# ``LiteClassifier``\n")
    for page in re.findall(r"<doc:(\w+)>", LANDING):
        assert (CATALOG / f"{page}.md").is_file(), page
    assert "<doc:RunAModel>" in LANDING


def test_every_symbol_that_is_named_is_public() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in PACKAGE_SOURCES)
    named = re.findall(r"``([\w/()_:]+)``", LANDING + HOW_TO)
    assert len(named) > 15
    for symbol in named:
        name = symbol.rsplit("/", 1)[-1].split("(")[0]
        kinds = r"(?:final )?(?:actor|class|struct|enum|protocol|func|nonisolated var|var|let)"
        found = re.search(rf"public (?:static )?{kinds} {name}\b", sources)
        assert found or name == "LiteClassifier", symbol


def test_the_examples_of_the_how_to_compile(swift: Swift, stubs: Path, tmp_path: Path) -> None:
    assert len(EXAMPLES) == 6
    source = tmp_path / "Article.swift"
    source.write_text(AROUND.format("\n".join(EXAMPLES)), encoding="utf-8")
    # `open` of the runtime is a source of this module here.
    runtime = tmp_path / "OpenModel.swift"
    text = (LITE_FILE.parent / "OpenModel.swift").read_text(encoding="utf-8")
    # What a module exports again must be one.
    runtime.write_text(text.replace("@_exported import", "import"), encoding="utf-8")
    sources = [source, runtime, LITE_FILE]
    assert typecheck(swift, stubs, sources, tmp_path / "checked") == ""
    wrong = source.read_text(encoding="utf-8").replace("verdict.passes", "verdict.good")
    source.write_text(wrong, encoding="utf-8")
    assert "Article.swift" in typecheck(swift, stubs, sources, tmp_path / "wrong")
