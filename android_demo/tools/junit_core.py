"""Run the JUnit tests of :core: `python android_demo/tools/junit_core.py`."""

from __future__ import annotations

import subprocess
import sys

from compile import DEMO, compile_core, compile_core_tests, core_classpath, joined
from downloads import ToolError, find_program, maven

GOLDEN = DEMO.parent / "tests" / "golden"


def command() -> list[str]:
    """Return the command that runs every class in `core/src/test` named `*Test`."""
    tests = sorted(
        str(path.relative_to(DEMO / "core/src/test/kotlin").with_suffix("")).replace("/", ".")
        for path in (DEMO / "core/src/test/kotlin").rglob("*Test.kt")
    )
    classpath = [compile_core_tests(), compile_core(), *core_classpath(), *maven("junit")]
    return [
        find_program("java", "default-jdk-headless"), f"-Dgolden={GOLDEN}",
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
