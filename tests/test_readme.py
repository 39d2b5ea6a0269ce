"""What the README shows is what happens: output, commands, links and names in Python."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import exporter.cli
import runtime_check.cli

from .artifacts import Models

ROOT = Path(__file__).parents[1]
NUMBER = re.compile(r"\d+(\.\d+)?(e[-+]\d+)?")


def documents() -> list[Path]:
    """Every page of the repository, those of tools' caches left out."""
    pages = sorted(ROOT.rglob("*.md"))
    hidden = re.compile(r"^(build|\.(?!github))")
    return [p for p in pages if not any(map(hidden.match, p.relative_to(ROOT).parts))]


PAGES = documents()
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page, with their languages."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


# --- the first command ---------------------------------------------------------------------------


def shown() -> list[str]:
    """The lines that the README shows of the first command."""
    (output,) = [text for _, text in blocks(ROOT / "README.md") if "saved + reloaded" in text]
    return [line.rstrip() for line in output.splitlines() if line.strip()]


def printed(models: Models) -> list[str]:
    """The lines that it printed, with the folder that the README has."""
    text = re.sub(r"^\S*/(?=tf_)", "build/", models.first_command, flags=re.MULTILINE)
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def form(line: str) -> str:
    """A line with the numbers taken out, which differ from machine to machine."""
    return " ".join(NUMBER.sub("#", line).split())


def numbers(line: str) -> list[float]:
    return [float(match[0]) for match in NUMBER.finditer(line)]


def test_the_first_command_prints_what_the_readme_shows(models: Models) -> None:
    rest = iter(printed(models))
    for line in shown():
        if "█" in line:
            _same_label(line, next(rest))
        else:
            assert any(form(line) == form(other) for other in rest), line


def _same_label(line: str, other: str) -> None:
    assert line.split("█")[-1].strip() == other.split("█")[-1].strip()
    assert numbers(line)[0] == pytest.approx(numbers(other)[0], abs=1.0)


@pytest.mark.parametrize(
    ("begins", "factor"),
    # What does not depend on the machine; a tolerance does, by the rounding of its kernels.
    [("loads on pytorch-2.1.0", 1), ("loads on pytorch-1.13", 1), ("tolerance", 4)],
)
def test_the_numbers_of_the_readme_are_current(models: Models, begins: str, factor: float) -> None:
    (here,) = [line for line in shown() if line.startswith(begins)]
    (there,) = [line for line in printed(models) if line.startswith(begins)]
    for a, b in zip(numbers(here), numbers(there), strict=True):
        assert a <= factor * b
        assert b <= factor * a


# --- commands ------------------------------------------------------------------------------------


def commands(page: Path) -> Iterator[str]:
    """Every command of ours that a page shows, in blocks and in running text."""
    text = page.read_text(encoding="utf-8")
    starts = r"(?:python -m (?:exporter|runtime_check|tests)|pytest [-t]|pip install)"
    for _, block in blocks(page):
        for line in block.splitlines():
            for part in re.split(r" && ", line.removeprefix("$ ")):
                if re.match(starts, part):
                    yield part
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for part in re.findall(r"`([^`]+)`", outside):
        for command in re.split(r" && ", " ".join(part.split())):
            if re.match(starts, command):
                yield command


# The changelog names commands that were.
ALL_COMMANDS = sorted(
    {
        (name, command)
        for name, page in zip(IDS, PAGES, strict=True)
        if name != "CHANGELOG.md"
        for command in commands(page)
    }
)


def test_commands_are_found() -> None:
    assert len(ALL_COMMANDS) > 20
    assert ("README.md", "python -m exporter") in ALL_COMMANDS
    assert sum(name == ".github/SECURITY.md" for name, _ in ALL_COMMANDS) > 8


@pytest.mark.parametrize(("page", "command"), ALL_COMMANDS)
def test_commands_parse(page: str, command: str) -> None:
    words = shlex.split(command, comments=True)
    words = [word for word in words if word.strip(".…")]
    match words:
        case ["python", "-m", "exporter", *arguments]:
            _parse(exporter.cli.app, arguments)
        case ["python", "-m", "runtime_check", *arguments]:
            _parse(runtime_check.cli.app, runtime_check_arguments(arguments))
        case ["python", "-m", module, *arguments]:
            path = ROOT / Path(*module.split("."))
            alone = path.with_suffix(".py")
            source = alone if alone.exists() else path / "__main__.py"
            assert source.exists(), f"{module} does not exist"
            text = source.read_text(encoding="utf-8")
            assert all(f'"{word}"' in text for word in arguments if word.startswith("--"))
        case ["pytest", *arguments]:
            plugin = (ROOT / "runtime_check/pytest_plugin.py").read_text(encoding="utf-8")
            ours = [word for word in arguments if word.startswith("--artifact")]
            assert all(f'"{word}"' in plugin for word in ours)
            files = [word for word in arguments if word.startswith("tests/")]
            assert all((ROOT / file).exists() for file in files)
        case ["pip", "install", *arguments]:
            _installable(arguments)
        case _:
            pytest.fail(f"not understood: {command}")


def runtime_check_arguments(arguments: list[str]) -> list[str]:
    """Name the command that `python -m runtime_check FILE` stands for."""
    known = {"bench", "check", "device", "fuzz"}
    first = next((word for word in arguments if not word.startswith("-")), "")
    return arguments if first in known or not first else ["check", *arguments]


def _parse(app: typer.Typer, arguments: list[str]) -> None:
    """Parse as the command line does; raise where it would refuse, without running anything."""
    if not arguments or arguments[-1] == "--help":
        return
    command: Any = typer.main.get_command(app)
    with command.make_context("test", [*arguments]) as context:
        while context._protected_args or context.args:
            name, command, rest = command.resolve_command(
                context, [*context._protected_args, *context.args]
            )
            context = command.make_context(name, rest, parent=context)
            if not hasattr(command, "commands"):
                break


def _installable(arguments: list[str]) -> None:
    for word in arguments:
        local = re.fullmatch(r"(\.[\w/]*)(?:\[([\w,]+)\])?", word)
        if local:
            project = (ROOT / local[1] / "pyproject.toml").read_text(encoding="utf-8")
            extras = set(filter(None, (local[2] or "").split(",")))
            assert extras <= set(re.findall(r"^(\w+) = \[", project, re.MULTILINE))


# --- Python and links ----------------------------------------------------------------------------

SNIPPETS = [
    (name, text)
    for name, page in zip(IDS, PAGES, strict=True)
    for language, text in blocks(page)
    if language == "python"
]


@pytest.mark.parametrize(("page", "text"), SNIPPETS)
def test_python_snippets_use_what_exists(page: str, text: str) -> None:
    """Names of our packages are there, and functions take the keywords they are given."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.Call, ast.Attribute)):
            continue
        function = node.func if isinstance(node, ast.Call) else node
        dotted = ast.unparse(function)
        if dotted.split(".")[0] not in ("exporter", "runtime_check"):
            continue
        found: Any = importlib.import_module(dotted.split(".")[0])
        for part in dotted.split(".")[1:]:
            found = getattr(found, part)
        if isinstance(node, ast.Call):
            keywords = {k.arg: None for k in node.keywords if k.arg}
            inspect.signature(found).bind_partial(*node.args, **keywords)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert linked.is_relative_to(ROOT), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [_slug(heading) for heading in headings], target


def _slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_the_readme_is_short_and_narrow() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 160
    assert not [line for line in lines if len(line) > 100 and not line.startswith("|")]
