"""Check the Kotlin with ktlint: `python android_demo/tools/lint.py [--format]`."""

from __future__ import annotations

import subprocess
import sys

from compile import DEMO
from downloads import ToolError, find_program, maven

PATTERNS = ("**/*.kt", "**/*.kts", "!**/build/**")


def command(*, write: bool = False) -> list[str]:
    """Return the command; `write` puts right what can be put right."""
    java = find_program("java", "default-jdk-headless")
    # ktlint's compiler looks into Java's own modules.
    opened = ["--add-opens=java.base/java.lang=ALL-UNNAMED"]
    return [java, *opened, "-jar", str(maven("ktlint")[0]), *(["-F"] if write else []), *PATTERNS]


def main() -> int:
    """Run it in the project's folder; exit 1 when it complains."""
    try:
        return subprocess.run(
            command(write="--format" in sys.argv), cwd=DEMO, check=False
        ).returncode
    except ToolError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
