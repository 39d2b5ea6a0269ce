"""The file is the accused: what it states about its own tolerance has a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from runtime_check.artifact.archive import read_artifact
from runtime_check.artifact.metadata import (
    Golden,
    GoldenCase,
    Output,
    SampledData,
    Step,
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

from ...stated import stated_output


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
    rounding = Rounding(raw=(1e-4,), finished=(1e-5,), basis="by hand")
    made = read_artifact(tensor_ptl.path)
    allowance = allowance_of(made.metadata, made.golden, rounding)
    assert allowance.for_outputs([np.float32([-200.0, 1.0])]).atol == pytest.approx(2e-3)
    assert allowance.for_raw(0, np.float32([3.0])) == pytest.approx(3e-4)
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
    return Allowance(**{"stated": STATED, "usual": (4.0,), "bounded": (False,), **changes})


def test_the_shares_are_what_the_readme_says() -> None:
    assert (MOST_STATED_FLOAT, MOST_STATED_INT8) == (0.05, 0.5)


def test_without_a_measurement_the_stated_one_counts_and_grows_from_the_usual_size() -> None:
    same = Tolerance(atol=0.01, rtol=0.002, step=0.5)
    assert spoken().for_outputs([np.float32([4.0])]) == same
    assert spoken().for_outputs([np.float32([1.0])]) == same
    assert spoken().for_outputs([np.float32([-12.0])]).atol == pytest.approx(0.03)
    assert spoken(bounded=(True,)).for_outputs([np.float32([12.0])]) == same
    assert spoken(usual=(0.0,)).for_outputs([np.float32([12.0])]) == same
    assert spoken().basis == "stated by the file: so it says"


def test_a_measurement_counts_instead_of_what_is_stated() -> None:
    measured = spoken(rounding=Rounding(raw=(1e-3,), finished=(1e-4,), basis="by hand"))
    assert measured.for_outputs([np.float32([5.0])]) == Tolerance(atol=pytest.approx(5e-4))
    assert measured.for_outputs([np.zeros(3, np.float32)]).atol == np.finfo(np.float32).tiny
    assert measured.for_raw(0, np.float32([5.0, -7.0])) == pytest.approx(7e-3)
    assert spoken().for_raw(0, np.float32([5.0, -7.0])) == pytest.approx(7e-6)
    assert measured.basis == "by hand"


def test_each_output_has_what_is_stated_of_it_and_grows_by_its_own_size() -> None:
    stated = STATED.model_copy(update={"outputs": [0.01, 0.5], "flips": 0.125})
    allowance = spoken(stated=stated, usual=(4.0, 100.0), bounded=(False, False))

    def outputs(*sizes: float) -> list[np.ndarray]:
        return [np.float32([0.0, -size]) for size in sizes]

    usual = allowance.for_outputs(outputs(4.0, 100.0))
    assert usual == Tolerance(atol=0.5, outputs=(0.01, 0.5), rtol=0.002, flips=0.125, step=0.5)
    assert allowance.for_outputs(outputs(12.0, 99.0)).outputs == pytest.approx((0.03, 0.5))
    large = allowance.for_outputs(outputs(3.0, 300.0))
    assert large.outputs == pytest.approx((0.01, 1.5))
    assert large.atol == pytest.approx(1.5)
    bounded = replace(allowance, bounded=(False, True))
    assert bounded.for_outputs(outputs(8.0, 300.0)).outputs == pytest.approx((0.02, 0.5))
    assert allowance.for_outputs([]) == Tolerance(atol=0.01, rtol=0.002, flips=0.125, step=0.5)
    unbounded = replace(allowance, bounded=())
    assert unbounded.for_outputs(outputs(8.0, 300.0)).outputs == pytest.approx((0.02, 1.5))
    # Of an output that nothing is known of, the one for all is stated.
    third = allowance.for_outputs(outputs(4.0, 100.0, 9.0))
    assert third.outputs == (0.01, 0.5, 0.01)


def test_each_output_rounds_by_its_own_share_and_whole_numbers_do_not() -> None:
    rounding = Rounding(raw=(1e-3, 1e-1), finished=(1e-4, 1e-2, 1.0), basis="by hand")
    measured = spoken(
        stated=STATED.model_copy(update={"flips": 0.25}),
        rounding=rounding,
        whole=(False, False, True),
    )
    three = [np.float32([2.0]), np.float32([-30.0]), np.int64([400])]
    found = measured.for_outputs(three)
    assert found.outputs == pytest.approx((2e-4, 0.3, 0.0))
    assert (found.atol, found.outputs[2]) == (pytest.approx(0.3), 0.0)
    assert (found.flips, found.rtol, found.step) == (0.25, 0.0, None)
    assert replace(measured, whole=()).for_outputs(three).outputs[2] == pytest.approx(400.0)
    assert measured.for_raw(0, three[1]) == pytest.approx(0.03)
    assert measured.for_raw(1, three[1]) == pytest.approx(3.0)
    # Of an output that was not measured, float32's own.
    assert measured.for_raw(2, three[1]) == pytest.approx(30e-6)
    # What was not measured may not be off by more than float32's smallest number.
    fourth = replace(measured, whole=()).for_outputs([*three, np.float32([5.0])]).outputs[3]
    assert fourth == np.finfo(np.float32).tiny
    # A class map alone may not be off by anything, but for flips.
    alone = replace(measured, whole=(True,)).for_outputs([np.int64([[3]])])
    assert alone == Tolerance(atol=0.0, flips=0.25)


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
    rounding = Rounding(raw=(1e-3,), finished=(1e-4,), basis="by hand")
    golden = vectors([-2.0, 8.0])
    allowance = allowance_of(made.metadata, golden, rounding)
    assert allowance.stated == made.metadata.tolerance
    assert (allowance.usual, allowance.bounded, allowance.rounding) == ((8.0,), (False,), rounding)
    assert allowance.whole == (False,)
    for function, bounded in (("softmax", True), ("sigmoid", True), ("normalize", False)):
        step = Step.model_validate({"output": 0, "function": function})
        added = made.metadata.output.model_copy(update={"added": [step]})
        probabilities = made.metadata.model_copy(update={"output": added})
        assert allowance_of(probabilities, golden, rounding).bounded == (bounded,)
    int8 = made.metadata.quantization.model_copy(update={"method": "static"})
    quantized = made.metadata.model_copy(update={"quantization": int8})
    assert allowance_of(quantized, golden, rounding).rounding is None


def several(*expected: Sequence[Sequence[float]]) -> Golden:
    """Golden vectors of several outputs each; whole numbers are class maps."""
    cases = [
        GoldenCase(
            name=str(i),
            inputs=[],
            expected=[
                SampledData.of(np.array(one, np.int64 if type(one[0]) is int else np.float32))
                for one in outputs
            ],
        )
        for i, outputs in enumerate(expected)
    ]
    return Golden(tolerance=ToleranceSpec(atol=0.0, rtol=0.0, basis="by hand"), cases=cases)


def test_an_allowance_of_several_outputs_knows_each(tensor_ptl: Any) -> None:
    made = read_artifact(tensor_ptl.path)
    output = Output.model_validate(
        stated_output(([2], "float32"), ([1], "int64"), ([1], "float32"), activation="softmax")
    )
    output = output.model_copy(update={"added": [Step(output=2, function="sigmoid")]})
    metadata = made.metadata.model_copy(update={"output": output})
    golden = several([[1.0, -3.0], [7], [0.5]], [[2.0, 0.0], [9], [-20.0]])
    allowance = allowance_of(metadata, golden, None)
    assert allowance.usual == (3.0, 9.0, 20.0)
    assert allowance.bounded == (False, False, True)
    assert allowance.whole == (False, True, False)
    # A golden vector may hold fewer.
    fewer = several([[1.0, -3.0], [7], [0.5]], [[-4.0, 0.0], [9]])
    assert allowance_of(metadata, fewer, None).usual == (4.0, 9.0, 0.5)


@pytest.mark.parametrize(
    ("outputs", "atol", "fits"),
    [
        ([0.49, 0.0049], 0.49, True),
        ([0.51, 0.0049], 0.51, False),
        ([0.49, 0.0051], 0.49, False),  # of all outputs together it would be little
        ([0.49], 0.0049, True),  # what is not stated of an output is stated of all
        ([0.49], 0.0051, False),
        ([], 0.49, True),
        ([], 0.51, False),
    ],
)
def test_each_output_is_held_to_a_share_of_its_own_span(
    outputs: list[float], atol: float, fits: bool, tensor_ptl: Any
) -> None:
    """The first reaches from -2 to 8, the second from 0 to 0.1, or the other way round."""
    made = read_artifact(tensor_ptl.path)
    large, small = ([-2.0, 8.0], [0.0, 0.0]), ([0.0, 0.05], [0.1, 0.1])
    vectors = [several(*zip(large, small, strict=True))]
    if len(outputs) == 2:
        vectors.append(several(*zip(small, large, strict=True)))
    # One that lacks the second output says nothing of it.
    vectors.append(several([large[0], small[0]], [large[1], small[1]], [large[0]]))
    orders = [outputs, outputs[::-1], outputs] if len(outputs) == 2 else [outputs] * 2
    for golden, each in zip(vectors, orders, strict=True):
        stated = ToleranceSpec(atol=atol, rtol=0.0, outputs=each, basis="by hand")
        metadata = made.metadata.model_copy(update={"tolerance": stated})
        if fits:
            require_sane_tolerance(metadata, golden, where="it")
        else:
            with pytest.raises(UnreadableArtifact, match="nearly anything would pass"):
                require_sane_tolerance(metadata, golden, where="it")


@pytest.mark.parametrize(
    ("flips", "function", "method", "said"),
    [
        (0.0, "softmax", "none", ""),
        (0.05, "argmax", "none", ""),
        (0.051, "argmax", "none", "5.1% of its whole numbers may differ, and no more than 5%"),
        (0.5, "argmax", "static", ""),
        (0.51, "argmax", "static", "51.0% of its whole numbers may differ, and no more than 50%"),
        (0.01, "softmax", "none", "1.0% of its whole numbers may differ, and none"),
        (0.01, "softmax", "static", "1.0% of its whole numbers may differ, and none"),
    ],
)
def test_only_where_classes_are_picked_may_some_flip(
    flips: float, function: str, method: str, said: str, tensor_ptl: Any
) -> None:
    made = read_artifact(tensor_ptl.path)
    step = Step.model_validate({"output": 0, "function": function, "axis": 1})
    other = Step.model_validate({"output": 0, "function": "resize"})
    flipping = ToleranceSpec(atol=0.0, rtol=0.0, flips=flips, basis="by hand")
    fine = flipping.model_copy(update={"flips": 0.0})
    quantization = made.metadata.quantization.model_copy(update={"method": method})
    for kind, of_metadata, of_golden in (
        ("metadata", flipping, fine),
        ("golden vectors", fine, flipping),
    ):
        metadata = made.metadata.model_copy(
            update={
                "tolerance": of_metadata,
                "quantization": quantization,
                "output": made.metadata.output.model_copy(update={"added": [step, other]}),
            }
        )
        golden = vectors([-2.0, 8.0]).model_copy(update={"tolerance": of_golden})
        if not said:
            require_sane_tolerance(metadata, golden, where="it")
            continue
        with pytest.raises(UnreadableArtifact, match=f"^it: its {kind} state that {said}"):
            require_sane_tolerance(metadata, golden, where="it")
