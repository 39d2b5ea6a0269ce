"""What a package shows at its face is what type checkers see there, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

import exporter
import runtime_check


@pytest.mark.parametrize("package", [exporter, runtime_check])
def test_type_checkers_see_what_there_is(package: ModuleType) -> None:
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == package._HOMES
    assert {*seen, "__version__"} == set(package.__all__) == set(dir(package))
    for name, home in seen.items():
        assert not (Path(str(package.__file__)).parent / f"{name}.py").exists(), home
        assert getattr(package, name).__name__ == name


@pytest.mark.parametrize("package", [exporter, runtime_check])
def test_other_names_are_not_there(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=r"module '\w+' has no attribute 'bogus'"):
        package.bogus  # noqa: B018
