"""What fails is shrunk, saved and judged again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_check.errors import RuntimeCheckError
from runtime_check.properties.counterexample import load_counterexample
from runtime_check.testing.models import ModelRecipe

from .checks import check, one


def test_other_weights_are_found_shrunk_saved_and_replayed(
    build_tensor_ptl: Callable[..., Any], tmp_path: Path
) -> None:
    other = ModelRecipe("depthwise", 2, 16, True, False, "relu", 32, 8).build()
    made = build_tensor_ptl(tmp_path / "other.ptl", net=other)
    factory = "runtime_check.testing.models:small_classifier"
    report = check(made.path, tmp_path, "parity", reference=factory)
    result = one(report)
    assert result.status == "failed"
    assert "not the weights the file was made from" in report.reference
    assert result.comparison is not None
    assert result.comparison.passing is not None
    # The plainest input that there is already fails: hypothesis must have found it.
    assert "content='zero'" in result.minimal
    assert "seed=0" in result.minimal

    assert result.counterexample is not None
    saved = load_counterexample(result.counterexample)
    assert saved.property == "parity"
    assert not np.allclose(saved.expected[0], saved.actual[0])
    again = check(
        made.path,
        tmp_path,
        replay=result.counterexample,
        reference="runtime_check.testing.models:small_classifier",
    )
    assert one(again).status == "failed"
    # Without any reference the saved outputs stand in for it.
    alone = check(made.path, tmp_path, replay=result.counterexample, trust_factory=False)
    assert one(alone).status == "failed"


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([np.zeros((1, 3, 8, 9), np.float32)], r"a\.npz does not fit .*this artifact takes"),
        ([np.zeros((1, 3, 32, 32), np.float64)], "not .*float64"),
        ([np.zeros((1, 3, 32, 32), ">f4")], "not .*>f4"),
        ([], "this artifact takes .*, not"),
        ([np.zeros((1, 3, 32, 32), np.float32)] * 2, "this artifact takes .*, not"),
    ],
)
def test_inputs_of_another_file_are_refused(
    inputs: list[np.ndarray], says: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    about = {
        "property": "parity", "seed": 0, "recipe": "", "natural": True, "problem": "",
        "artifact": "", "artifact_sha256": "", "runtime": "host",
    }  # fmt: skip
    arrays = {f"input_{i}": array for i, array in enumerate(inputs)}
    np.savez(tmp_path / "a.npz", about=np.array(json.dumps(about)), **arrays)
    with pytest.raises(RuntimeCheckError, match=says):
        check(tensor_ptl.path, tmp_path, replay=tmp_path / "a.npz")
