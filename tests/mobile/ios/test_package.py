"""What the Swift package offers with and without a runtime of its own, as SwiftPM reads it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from .tools import APP, PACKAGE, Swift

BRANCH = {"MODEL_RUNTIME": "executorch", "branch": "swiftpm-1.5.0"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package without its symbolic links, which lead out of it."""
    folder = tmp_path_factory.mktemp("package") / "LiteClassifier"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns(".build", "Runtime.json"))
    return folder


def dumped(swift: Swift, package: Path, settings: dict[str, str] | None) -> dict[str, Any]:
    """Read the manifest as SwiftPM does, with `settings` as its `Runtime.json`."""
    file = package / "Runtime.json"
    file.unlink(missing_ok=True)
    if settings is not None:
        file.write_text(json.dumps(settings), encoding="utf-8")
    scratch = str(package.parent / "scratch")
    command = ["swift", "package", "--manifest-cache", "none", "--scratch-path", scratch]
    done = swift.run([*command, "dump-package"], cwd=package)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def target(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in manifest["targets"] if one["name"] == name)
    return dict(found)


def test_without_a_runtime_the_product_is_the_api_alone(swift: Swift, copy: Path) -> None:
    manifest = dumped(swift, copy, None)
    (product,) = manifest["products"]
    assert (product["name"], product["targets"]) == ("LiteClassifier", ["LiteClassifier"])
    assert manifest["swiftLanguageVersions"] == ["6"]
    assert manifest["dependencies"] == []


@pytest.mark.parametrize(
    "settings",
    [
        {"xcframework": "Frameworks/LibTorchLite.xcframework"},
        {"url": "https://example.org/LibTorchLite.zip", "checksum": "0" * 64},
    ],
)
def test_the_lite_interpreter_comes_with_the_product(
    swift: Swift, copy: Path, settings: dict[str, str]
) -> None:
    manifest = dumped(swift, copy, {"MODEL_RUNTIME": "lite", **settings})
    (product,) = manifest["products"]
    assert product["targets"] == ["LiteClassifier", "LiteRuntime"]
    binary = target(manifest, "LibTorchLite")
    assert binary["type"] == "binary"
    assert binary.get("path") == settings.get("xcframework")
    assert binary.get("checksum") == settings.get("checksum")
    core = target(manifest, "LiteCore")
    assert [next(iter(one.values()))[0] for one in core["dependencies"]] == ["LibTorchLite"]
    assert "-all_load" in json.dumps(core["settings"])


def test_executorch_comes_with_the_product(swift: Swift, copy: Path) -> None:
    manifest = dumped(swift, copy, BRANCH)
    (product,) = manifest["products"]
    assert product["targets"] == ["LiteClassifier", "LiteRuntime"]
    assert "swiftpm-1.5.0" in json.dumps(manifest["dependencies"])
    core = target(manifest, "LiteCore")
    assert core["path"] == "Sources/ExecuTorchCore"
    text = json.dumps(core)
    assert "-all_load" in text
    # The very products that the README tells to add to an app by hand.
    readme = (APP / "README.md").read_text(encoding="utf-8")
    for name in ("executorch", "backend_xnnpack", "kernels_optimized", "kernels_quantized"):
        assert f'"{name}"' in text
        assert f"`{name}`" in readme


def test_half_a_statement_is_refused(swift: Swift, copy: Path) -> None:
    with pytest.raises(AssertionError, match="state xcframework, or url and checksum"):
        dumped(swift, copy, {"MODEL_RUNTIME": "lite", "url": "https://example.org/a.zip"})


def test_the_example_of_the_readme_is_the_one_that_compiles() -> None:
    """`ReadmeTests.swift` holds the README's ten lines; the Swift tests compile and run them."""
    readme = (APP / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"```swift\n(.+?)```", readme, re.S)
    assert shown
    lines = [line.strip() for line in shown.group(1).strip().splitlines()]
    assert len(lines) <= 12
    test = (PACKAGE / "Tests/LiteRuntimeTests/ReadmeTests.swift").read_text(encoding="utf-8")
    compiled = "\n".join(line.strip() for line in test.splitlines())
    assert "\n".join(line for line in lines if not line.startswith("import")) in compiled
    for line in lines:
        if line.startswith("import"):
            assert f"\n{line}\n" in compiled
