"""Gradle itself on the build files of the libraries: what it configures, compiles and refuses."""

from __future__ import annotations

import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from .conftest import ROOT

DEMO = ROOT / "android_demo"


@pytest.fixture(scope="module")
def gradle_tools(tools: None) -> None:
    from run_gradle import ready

    if not ready():
        pytest.skip(
            "Kotlin's plugin is not here: python tests/mobile/android/tools/run_gradle.py --prepare"
        )


@pytest.fixture(scope="module")
def built(
    gradle_tools: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The libraries, compiled by Gradle from the committed build files, their tests too."""
    from run_gradle import gradle, project

    folder = project(tmp_path_factory.mktemp("gradle"))
    return folder, gradle(folder, "--offline", "assemble", "testClasses")


def test_gradle_builds_every_library(
    built: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = built
    assert done.returncode == 0, done.stdout[-4000:]
    assert "BUILD SUCCESSFUL" in done.stdout
    assert "Configuration cache entry stored" in done.stdout
    modules = {path.parent.parent.relative_to(folder) for path in folder.glob("**/build/libs")}
    # ExecuTorch's is left out: its library cannot be had here.
    assert modules == {Path("core"), Path("runtime/photos"), Path("runtime/lite")}
    for module in modules:
        (jar,) = (folder / module / "build" / "libs").glob("*.jar")
        sources = list((DEMO / module / "src/main/kotlin").rglob("*.kt"))
        with zipfile.ZipFile(jar) as content:
            classes = [name for name in content.namelist() if name.endswith(".class")]
        assert len(classes) >= len(sources) > 0, module


def test_gradle_compiles_the_classes_that_the_tools_do(
    built: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    from libraries import LIBRARIES, classes

    folder, _ = built
    for name in ("core", "runtime-photos", "runtime-lite"):
        (path,) = (folder / LIBRARIES[name].folder / "build/libs").glob("*.jar")
        ours = classes(name)
        resources = {
            str(p.relative_to(LIBRARIES[name].resource_folder)) for p in LIBRARIES[name].resources
        }
        with zipfile.ZipFile(path) as jar:
            files = {n for n in jar.namelist() if n.endswith(".class") or n in resources}
        compiled = {str(path.relative_to(ours)) for path in ours.rglob("*.class")}
        assert files == compiled | resources, name


def test_only_googles_lines_are_left_out(gradle_tools: None, tmp_path: Path) -> None:
    from run_gradle import project

    copy = project(tmp_path)
    for name in ("settings.gradle", "build.gradle"):
        lines = (DEMO / name).read_text(encoding="utf-8").splitlines()
        kept = (copy / name).read_text(encoding="utf-8").splitlines()
        gone = [line.strip() for line in lines if line not in kept]
        assert (
            gone
            == {
                "settings.gradle": [
                    "google()",
                    "google()",
                    'include ":runtime:executorch"',
                    'include ":app"',
                ],
                "build.gradle": ["alias(libs.plugins.android.application) apply false"],
            }[name]
        )


def test_a_wrong_build_file_fails(gradle_tools: None, tmp_path: Path) -> None:
    """The scripts are run, not only read: a library that the catalog does not have is missed."""
    from run_gradle import gradle, project

    copy = project(tmp_path)
    script = copy / "core" / "build.gradle"
    text, count = re.subn(r"libs\.gson\b", "libs.json", script.read_text(encoding="utf-8"))
    assert count == 1
    script.write_text(text, encoding="utf-8")
    done = gradle(copy, "--offline", "help")
    assert done.returncode == 1
    assert "Could not get unknown property 'json'" in done.stdout


def test_a_download_with_another_hash_is_refused(gradle_tools: None, tmp_path: Path) -> None:
    from run_gradle import VERIFICATION, gradle, project

    copy = project(tmp_path)
    pinned = copy / "gradle" / VERIFICATION.name
    text = pinned.read_text(encoding="utf-8")
    changed = re.sub(r'(name="gson-[\d.]+\.jar">\s*<sha256 value=")[0-9a-f]{4}', r"\1beef", text)
    assert changed != text
    pinned.write_text(changed, encoding="utf-8")
    done = gradle(copy, "--offline", ":core:compileKotlin")
    assert done.returncode == 1
    assert "Dependency verification failed" in done.stdout
    assert "gson" in done.stdout
