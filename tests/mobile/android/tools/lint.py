"""Check the Kotlin of the app and of its tests with ktlint.

python tests/mobile/android/tools/lint.py [--format]
"""

from __future__ import annotations

import subprocess
import sys

from app_tools import HERE
from compile import DEMO
from downloads import ToolError, find_program, maven

PATTERNS = ("**/*.kt", "**/*.kts", "!**/build/**", f"{HERE}/**/*.kt")


def command(*, write: bool = False) -> list[str]:
    """Return the command; `write` puts right what can be put right."""
    java = find_program("java")
    # ktlint's compiler looks into Java's own modules.
    opened = ["--add-opens=java.base/java.lang=ALL-UNNAMED"]
    # The app's own rules for the Kotlin of the tests too, which no .editorconfig is above.
    rules = f"--editorconfig={DEMO / '.editorconfig'}"
    jar = str(maven("ktlint")[0])
    return [java, *opened, "-jar", jar, rules, *(["-F"] if write else []), *PATTERNS]


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
