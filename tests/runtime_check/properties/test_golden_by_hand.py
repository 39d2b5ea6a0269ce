"""Golden vectors, and outputs against metadata: what is held to what, by which number."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_check.artifact.metadata import GoldenCase, SampledData
from runtime_check.options import Demands
from runtime_check.properties.base import Check, Trial, Verdict
from runtime_check.properties.golden import golden

from .fakes import a_check, honest

# The package has a function of that name.
module = importlib.import_module("runtime_check.properties.golden")
Outputs = list[np.ndarray]
Answer = Callable[[int, Sequence[np.ndarray]], Outputs]


def off_by(*amounts: float) -> Answer:
    """The right outputs, each call's last value off by its own amount."""

    def answer(call: int, inputs: Sequence[np.ndarray]) -> Outputs:
        values = honest(inputs)[0]
        values[0, -1] += np.float32(amounts[call])
        return [values]

    return answer


def test_the_golden_vectors_are_run_one_after_the_other_and_all_their_values_compared(
    tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence: list[dict[str, Any]] = []
    passed = Trial.passed

    def spy(self: Trial, **given: Any) -> Any:
        evidence.append(given)
        return passed(self, **given)

    monkeypatch.setattr(Trial, "passed", spy)
    seen: list[np.ndarray] = []

    def answer(call: int, inputs: Sequence[np.ndarray]) -> Outputs:
        seen.extend(inputs)
        return off_by(1e-6, 3e-6, 2e-6)(call, inputs)

    with a_check(tensor_ptl.path, tmp_path, answer) as check:
        result = golden(check)
        cases = check.artifact.golden.cases
    assert (result.name, result.status, result.fault) == ("golden", "passed", "")
    assert result.examples == 3
    assert [one.tolist() for one in seen] == [case.inputs[0].array().tolist() for case in cases]
    assert [(one["inputs"], one["needed"], one["values"]) for one in evidence] == [(3, 3, 3 * 3)]
    # The worst of the three is the one that is shown.
    assert result.comparison is not None
    assert result.comparison.max_abs == pytest.approx(3e-6, rel=0.1)
    assert result.reason == str(result.comparison)


@pytest.mark.parametrize("case", [0, 1, 2])
def test_the_first_golden_vector_that_differs_ends_it(
    case: int, tensor_ptl: Any, tmp_path: Path
) -> None:
    calls = []

    def answer(call: int, inputs: Sequence[np.ndarray]) -> Outputs:
        calls.append(call)
        return off_by(*(1.0 if call == case else 0.0 for call in range(3)))(call, inputs)

    with a_check(tensor_ptl.path, tmp_path, answer) as check:
        result = golden(check)
    assert (result.name, result.status, result.fault) == ("golden", "failed", "differs")
    assert result.examples == len(calls) == case + 1
    assert result.reason.startswith(f"golden vector 'case-{case}': 3 values, max|d| 1, ")
    assert result.comparison is not None
    assert result.comparison.max_abs == pytest.approx(1.0)


def test_no_golden_vector_proves_nothing(tensor_ptl: Any, tmp_path: Path) -> None:
    with a_check(tensor_ptl.path, tmp_path) as check:
        none = check.artifact.golden.model_copy(update={"cases": []})
        result = golden(replace(check, artifact=replace(check.artifact, golden=none)))
    assert (result.status, result.fault, result.examples) == ("undecided", "too-few", 0)


@pytest.mark.parametrize(
    ("off", "demands", "status"),
    [
        (0.9e-3, Demands(), "passed"),
        (1.2e-3, Demands(), "failed"),
        (0.9e-3, Demands(atol=1e-3), "passed"),
        (0.9e-3, Demands(atol=1e-4), "failed"),
        (0.9e-3, Demands(rtol=1e-6), "failed"),
        (0.9e-3, Demands(rtol=1e3), "passed"),
        (1.2e-3, Demands(atol=1.0), "failed"),  # a user may not demand less
        (0.9e-3, Demands(min_sqnr_db=200.0), "passed"),  # which is no matter of one value
    ],
)
def test_a_golden_vector_is_held_to_the_golden_records_bound_and_the_users(
    off: float, demands: Demands, status: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    """The golden record states 1e-3, the metadata 1e-5."""
    with a_check(tensor_ptl.path, tmp_path, off_by(off, 0.0, 0.0), demands=demands) as check:
        vectors = check.artifact.golden
        bound = vectors.tolerance.model_copy(update={"atol": 1e-3})
        vectors = vectors.model_copy(update={"tolerance": bound})
        result = golden(replace(check, artifact=replace(check.artifact, golden=vectors)))
    assert (result.status, result.fault) == (status, "" if status == "passed" else "differs")
    assert result.comparison is not None
    if demands.atol == 1e-4:
        assert result.comparison.tolerance.atol == 1e-4
    else:
        assert result.comparison.tolerance.atol in (1e-3, 0.0)


def sampling(check: Check, **figures: float) -> Check:
    """The check of a file whose first golden output is kept as every fourth value: the first."""
    first, *others = check.artifact.golden.cases
    whole = first.expected[0].array()
    sampled = SampledData.sampled(whole, 1)
    assert (sampled.stride, sampled.array().tolist()) == (4, [whole[0, 0]])
    sampled = sampled.model_copy(update=figures)
    cases = [first.model_copy(update={"expected": [sampled]}), *others]
    vectors = check.artifact.golden.model_copy(update={"cases": cases})
    return replace(check, artifact=replace(check.artifact, golden=vectors))


def test_of_a_large_golden_output_a_sample_and_its_figures_count(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    with a_check(tensor_ptl.path, tmp_path) as check:
        result = golden(sampling(check))
    assert (result.status, result.examples) == ("passed", 3)
    # Only the third value is off, which the sample has not.
    with a_check(tensor_ptl.path, tmp_path, off_by(1.0, 0.0, 0.0)) as check:
        result = golden(sampling(check))
    assert (result.status, result.fault, result.examples) == ("failed", "differs", 1)
    assert result.reason.startswith("golden vector 'case-0': 4 values, max|d| ")
    # What a user demands counts for the figures, too.
    for demands, status in ((Demands(atol=1e-7), "failed"), (Demands(atol=1e-5), "passed")):
        with a_check(tensor_ptl.path, tmp_path, off_by(3e-6, 0, 0), demands=demands) as check:
            assert golden(sampling(check)).status == status


def test_what_is_shown_of_a_sampled_output_is_the_sample(tensor_ptl: Any, tmp_path: Path) -> None:
    def verdict_of(outputs: Outputs) -> Verdict:
        with a_check(tensor_ptl.path, tmp_path, lambda *_: outputs) as check:
            case: GoldenCase = sampling(check).artifact.golden.cases[0]
            return module._replay(case)(check, [i.array() for i in case.inputs], True)

    given = np.float32([[7.0, 8.0, 9.0]])
    found = verdict_of([given])
    assert [array.tolist() for array in found.actual] == [[7.0]]
    assert [array.size for array in found.expected] == [1]
    # Of another shape there are no such places.
    assert [a.tolist() for a in verdict_of([given.T]).actual] == [[[7.0], [8.0], [9.0]]]
