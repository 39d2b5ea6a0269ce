"""The app's camera, run on Linux: its own source on stand-ins for AVFoundation's classes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .sources import PACKAGE_SOURCES, STUBS
from .tools import APP, Swift

SOURCES = (
    STUBS / "AVFoundation.swift", STUBS / "os.swift", APP / "App/Camera.swift",
    APP / "App/CameraCallbacks.swift", Path(__file__).with_name("camera_main.swift"),
)  # fmt: skip
APART = re.compile(
    r"^(?:@preconcurrency |@_exported )?import (?:AVFoundation|LiteClassifier|UIKit|os)$", re.M
)


def run(swift: Swift, folder: Path, old: str = "", new: str = "") -> str:
    """Compile all of it as one module, with `old` replaced in the app's sources; run it."""
    given = []
    for path in (*SOURCES, *PACKAGE_SOURCES):
        text = APART.sub("", path.read_text(encoding="utf-8"))
        if path.parent.name == "App" and old:
            text = text.replace(old, new)
        copy = folder / path.name
        copy.write_text(text, encoding="utf-8")
        given.append(str(copy))
    program = folder / "camera"
    built = swift.run(
        [
            "swiftc",
            "-parse-as-library",
            "-suppress-warnings",
            *given,
            "-o",
            str(program),
            "-Xlinker",
            "--allow-shlib-undefined",
        ]
    )
    assert built.returncode == 0, "\n".join(
        line for line in built.stderr.splitlines() if "error:" in line
    )
    return swift.run([str(program)], timeout=60).stdout


def test_frames_shots_and_turns(swift: Swift, tmp_path: Path) -> None:
    output = run(swift, tmp_path)
    said = output.splitlines()
    assert said[-1] == "done", output
    assert len(said) == 27
    assert [line for line in said if not line.startswith(("right: ", "done"))] == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("guard gate.isAwaited, let buffer", "guard let buffer", "is not touched"),
        ("      use(Self.live)\n", "", "frames are small again"),
        ("      before.forEach(session.addInput)", "      _ = before", "the one in use stays"),
    ],
)
def test_what_the_camera_must_not_do_is_found(
    swift: Swift, tmp_path: Path, old: str, new: str, what: str
) -> None:
    output = run(swift, tmp_path, old, new)
    assert re.search(rf"^WRONG: .*{what}", output, re.M), output
