import ast
import subprocess
import sys
from pathlib import Path

import runtime_check

PACKAGE = Path(runtime_check.__file__).parent


def test_nothing_of_the_exporter_is_imported() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not any(name.split(".")[0] == "exporter" for name in names), path


def test_the_plugin_does_not_pull_in_torch_or_hypothesis() -> None:
    code = (
        "import sys, runtime_check.pytest_plugin;"
        "sys.exit(bool({'torch', 'timm', 'hypothesis'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_does_not_pull_in_torch() -> None:
    code = (
        "import sys, runtime_check.cli;"
        "sys.exit(bool({'torch', 'timm', 'hypothesis'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
