"""The file is the accused: what it states about its own tolerance has a bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runtime_check.artifact.archive import read_artifact
from runtime_check.artifact.metadata import (
    Golden,
    GoldenCase,
    SampledData,
    ToleranceSpec,
)
from runtime_check.comparison import Tolerance
from runtime_check.errors import UnreadableArtifact
from runtime_check.options import Demands
from runtime_check.properties.allowance import (
    MOST_STATED_FLOAT,
    MOST_STATED_INT8,
    Allowance,
    allowance_of,
    demanded,
    golden_spread,
    largest,
    require_sane_tolerance,
)
from runtime_check.reference.rounding import Rounding


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


def test_rounding_counts_only_for_float_and_grows_with_the_outputs(
    tensor_ptl: Any,
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
    int8 = made.metadata.quantization.model_copy(update={"method": "static"})
    quantized = made.metadata.model_copy(update={"quantization": int8})
    assert allowance_of(quantized, made.golden, rounding).rounding is None


STATED = ToleranceSpec(atol=0.01, rtol=0.002, basis="so it says", step=0.5)


def spoken(**changes: Any) -> Allowance:
    return Allowance(**{"stated": STATED, "usual": 4.0, "bounded": False, **changes})


def test_the_shares_are_what_the_readme_says() -> None:
    assert (MOST_STATED_FLOAT, MOST_STATED_INT8) == (0.05, 0.5)


def test_without_a_measurement_the_stated_one_counts_and_grows_from_the_usual_size() -> None:
    same = Tolerance(atol=0.01, rtol=0.002, step=0.5)
    assert spoken().for_outputs([np.float32([4.0])]) == same
    assert spoken().for_outputs([np.float32([1.0]), np.float32([-2.0])]) == same
    assert spoken().for_outputs([np.float32([-12.0])]).atol == pytest.approx(0.03)
    assert spoken(bounded=True).for_outputs([np.float32([12.0])]) == same
    assert spoken(usual=0.0).for_outputs([np.float32([12.0])]) == same
    assert spoken().basis == "stated by the file: so it says"


def test_a_measurement_counts_instead_of_what_is_stated() -> None:
    measured = spoken(rounding=Rounding(raw=1e-3, finished=1e-4, basis="by hand"))
    assert measured.for_outputs([np.float32([5.0])]) == Tolerance(atol=pytest.approx(5e-4))
    assert measured.for_outputs([np.zeros(3, np.float32)]).atol == np.finfo(np.float32).tiny
    assert measured.for_raw([np.float32([5.0, -7.0])]) == pytest.approx(7e-3)
    assert spoken().for_raw([np.float32([5.0, -7.0])]) == pytest.approx(7e-6)
    assert measured.basis == "by hand"


def test_only_finite_values_have_a_size() -> None:
    assert largest([np.float32([np.nan, np.inf, -3.0]), np.float32([2.0])]) == 3.0
    assert largest([np.zeros(0, np.float32)]) == largest([]) == 0.0


def vectors(*expected: list[float], atol: float = 0.0) -> Golden:
    cases = [
        GoldenCase(name=str(i), inputs=[], expected=[SampledData.of(np.float32(values))])
        for i, values in enumerate(expected)
    ]
    return Golden(tolerance=ToleranceSpec(atol=atol, rtol=0.0, basis="by hand"), cases=cases)


def test_the_spread_is_of_all_vectors_together() -> None:
    assert golden_spread(vectors([1.0, 2.0], [-4.0, np.inf])) == 6.0
    assert golden_spread(vectors([np.nan])) == 0.0
    silent = GoldenCase(name="0", inputs=[], expected=[])
    tolerance = ToleranceSpec(atol=0.0, rtol=0.0, basis="by hand")
    assert golden_spread(Golden(tolerance=tolerance, cases=[silent])) == 0.0


@pytest.mark.parametrize(
    ("method", "atol", "rtol", "fits"),
    [
        ("none", 0.49, 0.0, True),
        ("none", 0.51, 0.0, False),
        ("static", 4.9, 0.0, True),
        ("static", 5.1, 0.0, False),
        ("none", 0.0, 0.06, True),  # of 8, the largest: 0.48
        ("none", 0.0, 0.07, False),
    ],
)
def test_both_records_are_held_to_the_bound(
    method: str, atol: float, rtol: float, fits: bool, tensor_ptl: Any
) -> None:
    """The outputs reach from -2 to 8, so they span 10."""
    made = read_artifact(tensor_ptl.path)
    spec = ToleranceSpec(atol=atol, rtol=rtol, basis="by hand")
    fine = ToleranceSpec(atol=0.0, rtol=0.0, basis="by hand")
    quantization = made.metadata.quantization.model_copy(update={"method": method})
    golden = vectors([-2.0, 8.0], [1.0, 1.0])
    for of_metadata, of_golden in ((spec, fine), (fine, spec)):
        metadata = made.metadata.model_copy(
            update={"tolerance": of_metadata, "quantization": quantization}
        )
        given = golden.model_copy(update={"tolerance": of_golden})
        if fits:
            require_sane_tolerance(metadata, given, where="it")
        else:
            with pytest.raises(UnreadableArtifact, match=r"it: its .*nearly anything would pass"):
                require_sane_tolerance(metadata, given, where="it")


def test_outputs_without_a_spread_leave_room_for_rounding_alone(tensor_ptl: Any) -> None:
    made = read_artifact(tensor_ptl.path)
    for values, most in (([200.0, 200.0], 2e-3), ([0.0, 0.0], 1e-12)):
        for atol, fits in ((0.9 * most, True), (1.1 * most, False)):
            spec = ToleranceSpec(atol=atol, rtol=0.0, basis="by hand")
            metadata = made.metadata.model_copy(update={"tolerance": spec})
            given = vectors(values)
            if fits:
                require_sane_tolerance(metadata, given, where="it")
            else:
                with pytest.raises(UnreadableArtifact):
                    require_sane_tolerance(metadata, given, where="it")


def test_what_a_user_demands_is_a_tolerance() -> None:
    assert demanded(Demands(min_sqnr_db=20.0)) is None
    assert demanded(Demands(atol=0.5)) == Tolerance(atol=0.5, rtol=0.0)
    assert demanded(Demands(rtol=0.25)) == Tolerance(atol=0.0, rtol=0.25)
    assert demanded(Demands(atol=0.0)) == Tolerance()


def test_an_allowance_is_made_of_the_files_own_records(tensor_ptl: Any) -> None:
    made = read_artifact(tensor_ptl.path)
    rounding = Rounding(raw=1e-3, finished=1e-4, basis="by hand")
    golden = vectors([-2.0, 8.0])
    allowance = allowance_of(made.metadata, golden, rounding)
    assert allowance.stated == made.metadata.tolerance
    assert (allowance.usual, allowance.bounded, allowance.rounding) == (8.0, False, rounding)
    softmax = made.metadata.output.model_copy(update={"activation": "softmax"})
    probabilities = made.metadata.model_copy(update={"output": softmax})
    assert allowance_of(probabilities, golden, rounding).bounded
    int8 = made.metadata.quantization.model_copy(update={"method": "static"})
    quantized = made.metadata.model_copy(update={"quantization": int8})
    assert allowance_of(quantized, golden, rounding).rounding is None
