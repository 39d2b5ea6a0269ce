"""What every property has in common: a verdict, evidence, a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime_check.properties import PROPERTIES

from .checks import check


@pytest.mark.parametrize("which", ["tensor_ptl", "image_ptl", "int8_ptl"])
def test_a_good_file_holds(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    made = request.getfixturevalue(which)
    report = check(made.path, tmp_path)
    assert report, [r.reason for r in report.results]
    assert [r.name for r in report.results] == list(PROPERTIES)
    ran = {r.name for r in report.results if r.status in ("passed", "noted")}
    image = which != "tensor_ptl"
    assert ran == set(PROPERTIES) - ({"batch", "nonfinite"} if image else {"preprocessing"})
    assert not (tmp_path / "found").exists()


def test_every_property_asks_a_question() -> None:
    assert all(function.__doc__ for function in PROPERTIES.values())


def test_without_a_reference_the_rest_still_runs(image_ptl: Any, tmp_path: Path) -> None:
    names = ("golden", "parity", "preprocessing", "determinism")
    report = check(image_ptl.path, tmp_path, *names, trust_factory=False)
    assert report
    assert not report.has_reference
    assert "import code that the file chose" in report.reference
    status = {r.name: r.status for r in report.results}
    assert status["parity"] == "skipped"
    assert status["golden"] == status["preprocessing"] == status["determinism"] == "passed"
