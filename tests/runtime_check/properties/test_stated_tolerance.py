"""What a file states of its own tolerance: refused beyond its bound, and no help against Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import runtime_check
from runtime_check import CheckOptions
from runtime_check.artifact.archive import read_artifact
from runtime_check.errors import UnreadableArtifact
from runtime_check.properties.allowance import golden_spread
from runtime_check.testing.archives import with_golden, with_metadata

from .checks import check, one


def state(value: float) -> Any:
    return lambda record: record["tolerance"].update(atol=value, rtol=0.0)


def test_a_file_that_allows_itself_anything_is_refused(tensor_ptl: Any, tmp_path: Path) -> None:
    for change, record in ((with_metadata, "metadata"), (with_golden, "golden vectors")):
        path = change(tensor_ptl.path, tmp_path / "a.ptl", state(1000.0))
        with pytest.raises(UnreadableArtifact, match=f"its {record} state a tolerance of 1e\\+03"):
            runtime_check.check(path, CheckOptions(properties=("golden",)))


def test_wrong_weights_fail_whatever_the_file_states(tensor_ptl: Any, tmp_path: Path) -> None:
    """The stated tolerance, as wide as it may be, does not help against a reference."""
    made = read_artifact(tensor_ptl.path)
    wide = 0.04 * golden_spread(made.golden)
    path = with_metadata(tensor_ptl.path, tmp_path / "a.ptl", state(wide))
    # Another seed's weights, near enough for the stated tolerance on small inputs.
    name = "tests.runtime_check.properties.test_stated_tolerance:nearly"
    report = check(path, tmp_path, "parity", reference=name)
    assert one(report).status == "failed"
    assert one(report).comparison is not None
    assert "float32 - float64" in report.tolerance
    honest = one(check(path, tmp_path, "parity"))
    assert honest.status == "passed"


def nearly() -> Any:
    import torch

    from runtime_check.testing.models import small_classifier

    module = small_classifier()
    with torch.no_grad():
        module.get_parameter("head.bias").add_(0.01)
    return module
