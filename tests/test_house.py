"""The floor plan: no circle, no import that climbs, nothing too long, every module tested."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("exporter", "runtime_check")
MOST_LINES = 400
LONGEST_FUNCTION = 60

# Rooms from the ground floor up. A module imports from lower floors, or from its own room.
FLOORS = {
    "exporter": (
        ("errors", "notes", "progress", "quiet"),
        ("checks", "guard"),
        ("recipes", "training", "image", "package", "install", "outputs", "postprocess"),
        ("options", "evaluation", "trial", "culprit"),
        ("environment", "agreement"),
        ("inputs", "meaning"),
        ("source", "whole"),
        ("plan",),
        ("rewrites",),
        ("last_bits",),
        ("expected", "quantize"),
        ("telling",),
        ("verify",),
        ("lower",),
        ("executorch",),
        ("formats",),
        ("saturated",),
        ("report",),
        ("artifact",),
        ("pipeline",),
        ("api",),
        ("migrate", "compare"),
        ("cli",),
        ("__main__",),
    ),
    "runtime_check": (
        ("differences", "errors", "faces", "outputs", "printable", "stopping"),
        ("together",),
        ("scratch",),
        ("files",),
        ("blame", "pages", "places", "tasks", "values"),
        ("signing",),
        ("options", "choices", "people", "snapshot"),
        ("artifact",),
        ("metrics",),
        ("found",),
        ("lone",),
        ("comparison",),
        ("vectors",),
        ("reference", "runtimes"),
        ("device",),
        ("runtime",),
        ("testing", "properties"),
        ("bench", "fuzz"),
        ("checking", "loading"),
        ("report",),
        ("pytest_plugin", "cli"),
        ("__main__",),
    ),
}
# Functions that are declarations of options, one a line.
DECLARATIONS = {
    "exporter/cli/compare.py:compare",
    "exporter/cli/export.py:export",
    "exporter/api.py:export",
    "runtime_check/cli.py:bench",
    "runtime_check/cli.py:check",
}


def modules(package: str) -> dict[str, Path]:
    """Every module of a package by its dotted name."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = {name: path for package in PACKAGES for name, path in modules(package).items()}


def imports(name: str) -> Iterator[tuple[str, int]]:
    """The modules of ours that a module imports, wherever in the file, with their lines."""
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *((node.module or "").split(".") if node.module else [])])
            targets = [f"{module}.{alias.name}" for alias in node.names]
            targets = [t if t in MODULES else module for t in targets]
        else:
            continue
        for target in targets:
            # A package's own face imports what it shows when that is first asked for.
            if target in MODULES and target != name and target not in PACKAGES:
                yield target, node.lineno


def room(name: str) -> str:
    return [*name.split("."), ""][1]


def floor(name: str) -> int | None:
    """The floor of a module's room; None for a package's own face."""
    package = name.split(".")[0]
    for height, rooms in enumerate(FLOORS[package]):
        if room(name) in rooms:
            return height
    return None


def test_every_room_has_a_floor() -> None:
    assert {n for n in MODULES if floor(n) is None} <= set(PACKAGES)


def test_no_import_climbs() -> None:
    """Function-level imports count too: hiding an import does not lower it."""
    climbing = [
        f"{MODULES[name].relative_to(ROOT)}:{line} imports {target}"
        for name in MODULES
        for target, line in imports(name)
        if target.split(".")[0] == name.split(".")[0]
        and room(target) != room(name)
        and (here := floor(name)) is not None
        and (there := floor(target)) is not None
        and there >= here
    ]
    assert not climbing, "\n".join(climbing)


def test_no_circle() -> None:
    edges = {name: {target for target, _ in imports(name)} for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for target in sorted(edges[name]):
                visit(target, (*path, name))
            done.add(name)

    for name in MODULES:
        if name not in PACKAGES:
            visit(name, ())


def test_nobody_inside_comes_in_by_the_front_door() -> None:
    """A package's own face shows every floor; only its version may be asked of it from inside."""
    wrong = []
    for name, path in MODULES.items():
        package, inside = name.split(".")[0], name.count(".")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom):
                continue
            depth = inside + (path.name == "__init__.py")
            own = (
                node.module == package
                if not node.level
                else not node.module and node.level == depth
            )
            shown = {alias.name for alias in node.names} - {"__version__"}
            shown = {n for n in shown if f"{package}.{n}" not in MODULES}
            if own and shown and name not in PACKAGES:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports {sorted(shown)}")
    assert not wrong


def test_the_checker_knows_nothing_of_the_exporter() -> None:
    wrong = [n for n in modules("runtime_check") for t, _ in imports(n) if t.startswith("exporter")]
    assert not wrong


def python_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).exists()] or sorted(ROOT.rglob("*.py"))


def test_no_file_is_too_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in python_files()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert not long


def test_no_function_is_too_long() -> None:
    long = {}
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or 0) - node.lineno + 1
                where = f"{path.relative_to(ROOT)}:{node.name}"
                if lines > LONGEST_FUNCTION and where not in DECLARATIONS:
                    long[where] = lines
    assert not long


def test_the_pipeline_reads_on_one_screen() -> None:
    tree = ast.parse((ROOT / "exporter/pipeline.py").read_text(encoding="utf-8"))
    (export,) = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "export"]
    assert (export.end_lineno or 0) - export.lineno + 1 < 60


# Modules without a test file of their own name, and what tests them.
TESTED_ELSEWHERE: dict[str, str] = {
    "exporter/lower/lowered.py": "a value alone; lower/test_lower.py, executorch/test_lower.py",
    "runtime_check/runtimes/run.py": "values and errors alone; test_host.py and test_runner.py",
    "runtime_check/runtimes/child.py": "the other side of test_host.py's pipe",
    "exporter/quantize/course.py": "the steps of qat's loop; test_qat.py and test_processes.py",
    "exporter/quantize/pixels.py": "quantize/test_training_data.py",
    "runtime_check/device/errors.py": "classes alone; device/test_install.py",
    "runtime_check/device/cli.py": "device/test_install.py runs it",
    "runtime_check/testing/archives.py": "artifact/test_archive.py is made of it",
}


def test_tests_mirror_the_source() -> None:
    missing = []
    for path in MODULES.values():
        relative = path.relative_to(ROOT)
        if path.name in ("__init__.py", "__main__.py") or str(relative) in TESTED_ELSEWHERE:
            continue
        if not (ROOT / "tests" / relative.parent / f"test_{path.name}").exists():
            missing.append(str(relative))
    assert not missing
    gone = [name for name in TESTED_ELSEWHERE if not (ROOT / name).exists()]
    assert not gone


@pytest.mark.slow
def test_the_wheel_holds_the_packages_and_nothing_else(tmp_path: Path) -> None:
    """Benchmarks and tests stay in the checkout; data and templates come along."""
    # A copy: what an earlier build left in the checkout would be packed too.
    source = tmp_path / "source"
    for name in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path)]
    subprocess.run([*command, str(source)], check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.split("/")[0] for name in names}
    assert {n for n in top if not n.endswith(".dist-info")} == set(PACKAGES)
    assert not [name for name in names if "benchmarks" in name or "/test_" in name]
    for needed in (
        "exporter/report/templates/report.html",
        "exporter/data/photos/cat.png",
        "runtime_check/data/operators/pytorch-2.1.0.json",
        "exporter/py.typed",
    ):
        assert needed in names
