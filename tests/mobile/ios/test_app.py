"""Rung 4: the sources of the app: parsed for iOS, linted, type-checked against stub modules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .sources import APP_SOURCES, LITE_FILE, PACKAGE_SOURCES, module, typecheck
from .tools import APP, PACKAGE, Swift

ALL_SOURCES = [*APP_SOURCES, LITE_FILE, *PACKAGE_SOURCES]


def test_there_is_an_app() -> None:
    assert 3 <= len(APP_SOURCES) <= 12
    assert len(PACKAGE_SOURCES) >= 8


def test_every_source_parses_for_ios(swift: Swift) -> None:
    for path in ALL_SOURCES:
        done = swift.run(
            ["swiftc", "-frontend", "-parse", "-target", "arm64-apple-ios17.0", str(path)]
        )
        assert done.returncode == 0, f"{path}:\n{done.stderr}"


def test_the_parser_can_fail(swift: Swift, tmp_path: Path) -> None:
    broken = tmp_path / "Broken.swift"
    broken.write_text(APP_SOURCES[0].read_text(encoding="utf-8") + "}\n", encoding="utf-8")
    done = swift.run(
        ["swiftc", "-frontend", "-parse", "-target", "arm64-apple-ios17.0", str(broken)]
    )
    assert done.returncode != 0
    assert "extraneous '}'" in done.stderr


def test_swift_format_has_no_complaint(swift: Swift) -> None:
    done = swift.run(["swift", "format", "lint", "--strict", "-r", str(APP / "App"), str(PACKAGE)])
    complaints = [line for line in done.stderr.splitlines() if ".swift:" in line]
    assert done.returncode == 0, "\n".join(complaints)


def test_the_views_fit_our_own_types(swift: Swift, stubs: Path, tmp_path: Path) -> None:
    assert typecheck(swift, stubs, [*APP_SOURCES, LITE_FILE], tmp_path) == ""


def test_the_app_fits_the_runtime_that_the_package_brings(
    swift: Swift, stubs: Path, tmp_path: Path
) -> None:
    """`MODEL_RUNTIME = package`: `LiteFile` is a module's, and no source of the app."""
    headers = PACKAGE / "Sources/LiteCore/include/lite_core.h"
    (tmp_path / "module.modulemap").write_text(
        f'module LiteCore {{ header "{headers}" export * }}\n', encoding="utf-8"
    )
    for made in stubs.glob("*.swiftmodule"):
        (tmp_path / made.name).write_bytes(made.read_bytes())
    sources = sorted(LITE_FILE.parent.glob("*.swift"))
    module(swift, tmp_path, "LiteRuntime", sources, "-swift-version", "6")
    assert typecheck(swift, tmp_path, APP_SOURCES, tmp_path / "app") == ""
    # The module is what makes the difference.
    assert "LiteFile" in typecheck(swift, stubs, APP_SOURCES, tmp_path / "without")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("ResultView.swift", "result.milliseconds", "result.seconds"),
        ("ResultView.swift", "segmentation.mask", "segmentation.legend"),
        ("ResultView.swift", "case .tensors(let rows):", "case .list(let rows):"),
        (
            "ContentView.swift",
            "case .failed(let sentence):\n      Section",
            "case .broken:\n      Section",
        ),
        ("CameraView.swift", "await model.runLive(frame)", "await model.runLive(3)"),
        ("CameraCallbacks.swift", "gate.offer(", "gate.take("),
        ("PhotoDecoding.swift", "case .indexed:", "case .palette:"),
        ("ModelView.swift", "BadgeRow(badge: .checking)", "BadgeRow(badge: .nowhere)"),
        ("LiteDemoApp.swift", "runtime: LiteFile.self", "runtime: Int.self"),
    ],
)
def test_a_view_that_does_not_fit_is_found(
    swift: Swift, stubs: Path, tmp_path: Path, file: str, old: str, new: str
) -> None:
    changed = []
    for path in APP_SOURCES:
        text = path.read_text(encoding="utf-8")
        if path.name == file:
            assert old in text
            text = text.replace(old, new)
        copy = tmp_path / path.name
        copy.write_text(text, encoding="utf-8")
        changed.append(copy)
    assert file in typecheck(swift, stubs, [*changed, LITE_FILE], tmp_path / "checked")


def test_the_package_imports_no_apple_framework() -> None:
    allowed = {"Foundation", "Observation", "Darwin", "Glibc", "LiteClassifier", "LiteCore"}
    allowed.add("CryptoKit")  # where it can be imported; the tests on Linux have OpenSSL
    for path in [*PACKAGE_SOURCES, LITE_FILE]:
        found = set(re.findall(r"^\s*import (\w+)", path.read_text(encoding="utf-8"), re.M))
        assert found <= allowed, path.name


def test_nothing_about_a_model_is_written_down() -> None:
    """No mean, no deviation, no size and no label of any model stands in the sources."""
    numbers = (
        r"0\.485|0\.456|0\.406|0\.229|0\.224|0\.225|\b224\b|(?<!SHA-)\b256\b|\b0\.875\b|\b1000\b"
    )
    for path in ALL_SOURCES:
        text = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
        assert not re.search(numbers, text), path.name
        assert not re.search(r"tabby|goldfish|efficientnet|deit", text, re.I), path.name


def test_what_is_drawn_is_also_spoken() -> None:
    """Symbols that stand alone have a label for VoiceOver; colors come from the system,
    but for the palette of classes, which the package computes."""
    text = "".join(path.read_text(encoding="utf-8") for path in APP_SOURCES)
    assert text.count("accessibilityLabel") >= 5
    assert "AccessibilityNotification.Announcement" in text
    assert not re.search(r"Color\(red:|Color\.(white|black)|UIColor\(|preferredColorScheme", text)
