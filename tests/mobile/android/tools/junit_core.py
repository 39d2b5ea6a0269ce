"""Run the JUnit tests of :core: `python tests/mobile/android/tools/junit_core.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from app_tools import GOLDEN
from compile import DEMO, core_classpath, joined, kotlin_sources, kotlinc
from downloads import ToolError, find_program, maven
from libraries import classes


def compile_core_tests() -> Path:
    """Compile the JUnit tests of :core."""
    core = classes("core")
    classpath = [core, *core_classpath(), *maven("junit")]
    sources = kotlin_sources("core/src/test/kotlin")
    return kotlinc(sources, classpath, module="core-test", friends=[core])


def command() -> list[str]:
    """Return the command that runs every class in `core/src/test` named `*Test`."""
    tests = sorted(
        str(path.relative_to(DEMO / "core/src/test/kotlin").with_suffix("")).replace("/", ".")
        for path in (DEMO / "core/src/test/kotlin").rglob("*Test.kt")
    )
    classpath = [compile_core_tests(), classes("core"), *core_classpath(), *maven("junit")]
    return [
        find_program("java"), f"-Dgolden={GOLDEN}",
        "-cp", joined(classpath), "org.junit.runner.JUnitCore", *tests,
    ]  # fmt: skip


def main() -> int:
    """Run them; exit 1 when one fails."""
    try:
        return subprocess.run(command(), check=False).returncode
    except ToolError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
