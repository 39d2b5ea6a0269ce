"""Golden vectors that do not replay, and metadata that lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime_check.testing.archives import with_golden, with_metadata

from .checks import check, one


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["output"].update(labels=["a", "b"]), "2 labels for 10 outputs"),
        (lambda m: m["output"].update(activation="softmax"), "probabilities"),
        (lambda m: m["operators"].update({"aten::relu": 3}), "operators stated"),
        (lambda m: m["produced_by"].update(bytecode_version=5), "bytecode version 5"),
        (lambda m: m["output"]["tensors"].append({"shape": [1]}), "1 outputs, the metadata"),
    ],
)
def test_metadata_that_lies_is_found(
    tensor_ptl: Any, tmp_path: Path, change: Callable[[Any], None], words: str
) -> None:
    path = with_metadata(tensor_ptl.path, tmp_path / "a.ptl", change)
    result = one(check(path, tmp_path, "metadata"))
    assert result.status == "failed"
    assert words in result.reason


def test_golden_vectors_that_do_not_replay_are_found(tensor_ptl: Any, tmp_path: Path) -> None:
    def swap(golden: dict[str, Any]) -> None:
        cases = golden["cases"]
        cases[0]["expected"], cases[1]["expected"] = cases[1]["expected"], cases[0]["expected"]

    path = with_golden(tensor_ptl.path, tmp_path / "a.ptl", swap)
    result = one(check(path, tmp_path, "golden"))
    assert result.status == "failed"
    assert "would have passed" in result.reason
