"""The app's sources, and how they are type-checked without Apple's frameworks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .tools import APP, PACKAGE, Swift

STUBS = Path(__file__).with_name("stubs")
# In the order of who imports whom.
STUB_MODULES = (
    "os", "UniformTypeIdentifiers", "CoreGraphics", "ImageIO", "SwiftUI", "UIKit", "PhotosUI",
    "CryptoKit", "AVFoundation",
)  # fmt: skip
APP_SOURCES = sorted((APP / "App").glob("*.swift"))
LITE_FILE = PACKAGE / "Sources/LiteRuntime/LiteFile.swift"
PACKAGE_SOURCES = sorted((PACKAGE / "Sources/LiteClassifier").glob("*.swift"))
PREVIEW = re.compile(r'^#Preview\("([^"]+)"\) \{$', re.M)


def module(swift: Swift, folder: Path, name: str, sources: Sequence[Path], *flags: str) -> None:
    """Compile a module into `folder`, where it finds those that were made before."""
    done = swift.run(
        [
            "swiftc", "-parse-as-library", "-emit-module", "-module-name", name, "-I", str(folder),
            *flags, "-o", str(folder / f"{name}.swiftmodule"), *map(str, sources),
        ]
    )  # fmt: skip
    assert done.returncode == 0, f"{name}: {done.stderr}"


def make_stubs(swift: Swift, folder: Path) -> None:
    """Modules with the names that the app uses of Apple's, and the package's own."""
    for name in STUB_MODULES:
        module(swift, folder, name, [STUBS / f"{name}.swift"], "-suppress-warnings")
    module(swift, folder, "LiteClassifier", PACKAGE_SOURCES, "-swift-version", "6")


def _as_view(preview: re.Match[str]) -> str:
    return f"@MainActor @ViewBuilder private var preview{preview.start()}: some View {{"


def typecheck(
    swift: Swift, stubs: Path, sources: Sequence[Path], scratch: Path, *flags: str
) -> str:
    """Type-check as the Xcode target compiles: bridging header, no LiteCore module.

    `#Preview` is a macro of Xcode's: what stands in it is checked as a view here.
    """
    checked = []
    scratch.mkdir(exist_ok=True)
    for path in sources:
        copy = scratch / path.name
        text = path.read_text(encoding="utf-8")
        copy.write_text(PREVIEW.sub(_as_view, text), encoding="utf-8")
        checked.append(copy)
    done = swift.run(
        [
            "swiftc", "-typecheck", "-swift-version", "6", "-module-name", "LiteDemo",
            "-I", str(stubs), "-import-objc-header", str(APP / "App/Bridging-Header.h"),
            "-I", str(PACKAGE / "Sources/LiteCore/include"), *flags, *map(str, checked),
        ]
    )  # fmt: skip
    errors = [line for line in done.stderr.splitlines() if ": error:" in line]
    assert bool(errors) == bool(done.returncode), done.stderr
    return "\n".join(errors)
