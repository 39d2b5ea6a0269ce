"""Check a file with few inputs, and take the one result there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime_check.checking import Report, check_artifact
from runtime_check.properties.base import PropertyResult


def check(path: Path, tmp_path: Path, *properties: str, **options: Any) -> Report:
    options.setdefault("trust_factory", True)
    return check_artifact(
        path, properties=properties or None, folder=tmp_path / "found", examples=8, **options
    )


def one(report: Report) -> PropertyResult:
    (result,) = report.results
    return result
