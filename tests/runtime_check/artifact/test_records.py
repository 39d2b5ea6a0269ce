"""Archives written again with the same records are the same artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime_check import read_artifact
from runtime_check.testing.archives import (
    records_of,
    with_records,
)


def test_repacking_alone_changes_nothing(tensor_ptl: Any, tmp_path: Path) -> None:
    path = with_records(tensor_ptl.path, tmp_path / "same.ptl", {})
    assert records_of(path) == records_of(tensor_ptl.path)
    assert read_artifact(path).metadata == read_artifact(tensor_ptl.path).metadata
