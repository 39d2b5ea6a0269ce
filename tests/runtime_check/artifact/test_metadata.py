"""The contract: versions, and golden bytes that fit their shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime_check import UnreadableArtifact, UnsupportedSchema, read_artifact
from runtime_check.testing.archives import (
    with_golden,
    with_metadata,
)


def test_a_newer_major_schema_is_refused_and_a_newer_minor_read(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    def newer(version: str) -> Callable[[dict[str, Any]], None]:
        return lambda metadata: metadata.update(schema_version=version, unheard_of=[1, 2])

    path = with_metadata(tensor_ptl.path, tmp_path / "major.ptl", newer("2.0"))
    with pytest.raises(UnsupportedSchema, match=r"2\.0, this release reads 1\.x\. Update"):
        read_artifact(path)
    read_artifact(with_metadata(tensor_ptl.path, tmp_path / "minor.ptl", newer("1.7")))


def test_golden_bytes_must_fit_their_shape(tensor_ptl: Any, tmp_path: Path) -> None:
    def stretch(golden: dict[str, Any]) -> None:
        golden["cases"][0]["inputs"][0]["shape"] = [2**40, 2**40]

    path = with_golden(tensor_ptl.path, tmp_path / "a.ptl", stretch)
    with pytest.raises(UnreadableArtifact, match=r"holds .* bytes"):
        read_artifact(path).golden.cases[0].inputs[0].array()
