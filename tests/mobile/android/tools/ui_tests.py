"""Run the app's screens on the JVM under Robolectric with native graphics, and take screenshots.

python tests/mobile/android/tools/ui_tests.py [FOLDER FOR SCREENSHOTS]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from app_tools import GOLDEN, HERE
from build_apk import MAIN, PACKAGE, Build, app_classpath, compile_app, link_resources
from compile import DEMO, framework_classes, joined, kotlin_sources, kotlinc
from desktop_native import environment, native_folder
from downloads import ToolError, cache, find_program, maven


def compile_ui_tests(app: list[Path]) -> list[Path]:
    """Compile the tests and the androidx.test types they need; return all their class paths."""
    framework = framework_classes()
    stand_ins = kotlinc(
        sorted((HERE / "androidx_test").glob("*.kt")),
        [*maven("core"), framework],
        module="androidx-test",
    )
    classpath = [*app, *app_classpath(), stand_ins, *maven("robolectric")]
    sources = kotlin_sources("app/src/test/kotlin")
    tests = kotlinc(sources, [*classpath, framework], module="app-test", friends=[app[0]])
    # The framework comes last: Robolectric's sandbox loads its own, this is for annotations that
    # name Android types before there is a sandbox.
    return [tests, *classpath, framework]


def run_ui_tests(
    screenshots: Path, models: Sequence[Path] = (), photo: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the tests of :app; the output is JUnit's.

    With `models` and a `photo` of a cat only those on real models, on the AAR's library.
    """
    real = bool(models) and photo is not None
    with tempfile.TemporaryDirectory(dir=cache()) as scratch:
        folder = Path(scratch)
        assets = folder / "assets"
        assets.mkdir()
        for model in models:
            shutil.copyfile(model, assets / model.name)
        if not real:
            (assets / "tiny.ptl").write_text("tiny", encoding="utf-8")
        build = Build(debuggable=True, runtime="auto", out=folder / "none", assets=assets)
        linked = link_resources(folder, build)
        classpath = compile_ui_tests(compile_app(linked.r_java))
        # How the Gradle plugin tells Robolectric of the app, in its own words.
        config = folder / "config" / "com" / "android" / "tools"
        config.mkdir(parents=True)
        (config / "test_config.properties").write_text(
            f"android_merged_manifest={folder / 'AndroidManifest.xml'}\n"
            f"android_merged_resources={MAIN / 'res'}\nandroid_merged_assets={assets}\n"
            f"android_resource_apk={linked.apk}\nandroid_custom_package={PACKAGE}\n",
            encoding="utf-8",
        )
        native = native_folder() if real else None
        command = [
            find_program("java"), "-Xmx2g",
            "-Drobolectric.offline=true", f"-Drobolectric.dependency.dir={offline(folder)}",
            f"-Dgolden={GOLDEN}", f"-Dscreenshots={screenshots}", f"-Djava.io.tmpdir={folder}",
            *([f"-Dphoto={photo}", f"-Djava.library.path={native}"] if native else []),
            "-cp", joined([folder / "config", *classpath]),
            "org.junit.runner.JUnitCore",
            *([f"{PACKAGE}.RealModelTest"] if real else screens()),
        ]  # fmt: skip
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
            env=environment(native) if native else None,
        )


def screens() -> list[str]:
    """Return the classes that test screens on stand-ins for models."""
    names = (path.stem for path in (DEMO / "app/src/test/kotlin").rglob("*ScreensTest.kt"))
    return [f"{PACKAGE}.{name}" for name in sorted(names)]


def offline(folder: Path) -> Path:
    """Return a folder with the framework Robolectric runs; it would ask Maven otherwise."""
    jars = folder / "sdk"
    jars.mkdir()
    for path in maven("instrumented"):
        (jars / path.name).symlink_to(path)
    return jars


def main() -> int:
    """Run the tests; exit 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=DEMO / "build" / "screenshots")
    parser.add_argument("--models", nargs="+", type=Path, default=[])
    parser.add_argument("--photo", type=Path, help="of a cat")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        photo = options.photo.resolve() if options.photo else None
        result = run_ui_tests(options.folder.resolve(), options.models, photo)
    except (ToolError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(result.stdout)
    sys.stderr.write(result.stderr[-4000:])
    return 1 if result.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
