"""Check a file with few inputs, and take the one result there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime_check import checking
from runtime_check.checking import Report
from runtime_check.options import CheckOptions
from runtime_check.properties.base import PropertyResult


def check(path: Path, tmp_path: Path, *properties: str, **options: Any) -> Report:
    options.setdefault("trust_factory", True)
    options = {"properties": properties, "examples": 8, **options}
    return checking.check(path, CheckOptions(counterexamples=tmp_path / "found", **options))


def one(report: Report) -> PropertyResult:
    (result,) = report.results
    return result
