"""Golden vectors that do not replay, and metadata that lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime_check.testing.archives import with_golden, with_metadata

from .checks import check, one


def one_more(metadata: dict[str, Any]) -> None:
    output = metadata["output"]
    output["tensors"].append({"name": "more", "shape": [1], "axes": ["1"]})
    output["returned"] = "list"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["output"].update(labels=["a", "b"]), "10 classes, and there are 2 labels"),
        (lambda m: m["output"]["tensors"][0].update(holds="probabilities"), "probabilities"),
        (lambda m: m["output"]["tensors"][0].update(holds="class_index"), "holds classes from"),
        (lambda m: m["output"]["tensors"][0].update(dtype="float64"), "states float64 [1, 10]"),
        (lambda m: m["operators"].update({"aten::relu": 3}), "operators stated"),
        (lambda m: m["produced_by"].update(bytecode_version=5), "bytecode version 5"),
        (one_more, "1 outputs, the metadata states 2"),
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
