from __future__ import annotations

import ast
import importlib
import pkgutil
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


def test_importing_the_package_imports_next_to_nothing() -> None:
    code = (
        "import sys, runtime_check;"
        "heavy = {'torch', 'timm', 'hypothesis', 'numpy', 'pydantic', 'typer', 'rich', 'jinja2'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_name_is_the_same_thing_whatever_was_imported_before() -> None:
    """A module of the same name would take a function's place once it is imported."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "runtime_check."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in set(runtime_check.__all__) - {"__version__"}:
        thing = getattr(runtime_check, name)
        assert callable(thing), name
        assert thing.__module__.startswith("runtime_check."), name
    assert set(runtime_check.__all__) <= set(dir(runtime_check))
