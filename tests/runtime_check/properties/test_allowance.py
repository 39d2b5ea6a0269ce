"""The file is the accused: what it states about its own tolerance has a bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runtime_check
from runtime_check import CheckOptions
from runtime_check.artifact.archive import read_artifact
from runtime_check.errors import UnreadableArtifact
from runtime_check.properties.allowance import (
    allowance_of,
    golden_spread,
    largest,
    require_sane_tolerance,
)
from runtime_check.reference.rounding import Rounding
from runtime_check.testing.archives import with_golden, with_metadata

from .checks import check, one


def state(value: float) -> Any:
    return lambda record: record["tolerance"].update(atol=value, rtol=0.0)


def test_a_file_that_allows_itself_anything_is_refused(tensor_ptl: Any, tmp_path: Path) -> None:
    for change, record in ((with_metadata, "metadata"), (with_golden, "golden vectors")):
        path = change(tensor_ptl.path, tmp_path / "a.ptl", state(1000.0))
        with pytest.raises(UnreadableArtifact, match=f"its {record} state a tolerance of 1e\\+03"):
            runtime_check.check(path, CheckOptions(properties=("golden",)))


def test_the_bound_is_a_share_of_what_the_outputs_span(tensor_ptl: Any) -> None:
    made = read_artifact(tensor_ptl.path)
    values = np.concatenate([e.array().ravel() for c in made.golden.cases for e in c.expected])
    span = float(values.max()) - float(values.min())
    assert golden_spread(made.golden) == pytest.approx(span)
    for share, fits in ((0.04, True), (0.06, False)):
        stated = made.metadata.tolerance.model_copy(update={"atol": share * span, "rtol": 0.0})
        metadata = made.metadata.model_copy(update={"tolerance": stated})
        if fits:
            require_sane_tolerance(metadata, made.golden, where="it")
        else:
            with pytest.raises(UnreadableArtifact, match="nearly anything would pass"):
                require_sane_tolerance(metadata, made.golden, where="it")


def test_wrong_weights_fail_whatever_the_file_states(tensor_ptl: Any, tmp_path: Path) -> None:
    """The stated tolerance, as wide as it may be, does not help against a reference."""
    made = read_artifact(tensor_ptl.path)
    wide = 0.04 * golden_spread(made.golden)
    path = with_metadata(tensor_ptl.path, tmp_path / "a.ptl", state(wide))
    # Another seed's weights, near enough for the stated tolerance on small inputs.
    name = "tests.runtime_check.properties.test_allowance:nearly"
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
        module.get_parameter("head.bias").add_(wide_enough_to_be_seen)
    return module


wide_enough_to_be_seen = 0.01


def test_rounding_counts_only_for_float_and_grows_with_the_outputs(
    tensor_ptl: Any, int8_ptl: Any
) -> None:
    rounding = Rounding(raw=1e-4, finished=1e-5, basis="by hand")
    made = read_artifact(tensor_ptl.path)
    allowance = allowance_of(made.metadata, made.golden, rounding)
    assert allowance.for_outputs([np.float32([-200.0, 1.0])]).atol == pytest.approx(2e-3)
    assert allowance.for_raw([np.float32([3.0])]) == pytest.approx(3e-4)
    stated = allowance_of(made.metadata, made.golden, None)
    usual = largest([e.array() for case in made.golden.cases for e in case.expected])
    atol = made.metadata.tolerance.atol
    assert stated.for_outputs([np.float32([usual])]).atol == pytest.approx(atol)
    assert stated.for_outputs([np.float32([3 * usual])]).atol == pytest.approx(3 * atol)
    quantized = read_artifact(int8_ptl.path)
    assert allowance_of(quantized.metadata, quantized.golden, rounding).rounding is None
