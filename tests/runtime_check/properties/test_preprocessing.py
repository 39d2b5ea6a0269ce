"""Preprocessing that is not what the metadata says is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime_check.testing.archives import with_metadata

from .checks import check, one


def test_wrong_preprocessing_is_found(image_ptl: Any, tmp_path: Path) -> None:
    def swap(metadata: dict[str, Any]) -> None:
        metadata["preprocessing"]["mean"] = [0.3, 0.6, 0.1]

    path = with_metadata(image_ptl.path, tmp_path / "mean.ptl", swap)
    assert one(check(path, tmp_path, "parity")).status == "failed"
    assert one(check(path, tmp_path, "preprocessing")).status == "failed"


@pytest.mark.parametrize("trust", [True, False])
def test_wrong_interpolation_is_found_even_without_a_reference(
    image_ptl: Any, tmp_path: Path, trust: bool
) -> None:
    def claim(metadata: dict[str, Any]) -> None:
        metadata["preprocessing"].update(interpolation="nearest")

    path = with_metadata(image_ptl.path, tmp_path / "crop.ptl", claim)
    result = one(check(path, tmp_path, "preprocessing", trust_factory=trust))
    assert result.status == "failed"
    assert "gray levels" in result.reason


def test_wrong_crop_is_found(image_ptl: Any, tmp_path: Path) -> None:
    def claim(metadata: dict[str, Any]) -> None:
        metadata["preprocessing"].update(crop_pct=0.5)

    path = with_metadata(image_ptl.path, tmp_path / "crop.ptl", claim)
    assert one(check(path, tmp_path, "parity")).status == "failed"
