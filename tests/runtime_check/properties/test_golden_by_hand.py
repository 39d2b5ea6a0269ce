"""Golden vectors, and outputs against metadata: what is held to what, by which number."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from runtime_check.artifact.metadata import (
    Output,
)
from runtime_check.options import Demands
from runtime_check.properties.base import Check, Trial, Verdict
from runtime_check.properties.golden import examine_metadata, golden

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


def examined(
    actual: Outputs,
    *stated: tuple[list[int], str],
    activation: str = "none",
    labels: list[str] | None = None,
    method: str = "none",
) -> Verdict:
    """Judge what a file answers by metadata that state this of it."""
    output = Output.model_validate({
        "activation": activation,
        "labels": labels,
        "tensors": [{"shape": shape, "dtype": dtype} for shape, dtype in stated],
    })  # fmt: skip
    check = SimpleNamespace(
        run=lambda inputs: [array for array in actual if inputs],
        metadata=SimpleNamespace(output=output, quantization=SimpleNamespace(method=method)),
    )
    verdict = examine_metadata(cast(Check, check), [np.zeros(1)], True)
    assert (verdict.fault, bool(verdict)) == (
        ("misstated", False) if verdict.problem else ("", True)
    )
    assert verdict.values == sum(array.size for array in actual)
    assert [array.tolist() for array in verdict.actual] == [array.tolist() for array in actual]
    return verdict


F32 = "float32"


@pytest.mark.parametrize(
    ("shapes", "stated", "problem"),
    [
        ([(1, 3)], [([1, 3], F32)], ""),
        ([(5, 3)], [([1, 3], F32)], ""),  # of the first golden input: the batch may differ
        ([(1, 1)], [([1, 1], F32)], ""),
        ([(1, 3), (2,)], [([1, 3], F32), ([2], F32)], ""),
        ([], [([1, 3], F32)], "0 outputs, the metadata states 1"),
        ([(1, 3)], [([1, 3], F32), ([2], F32)], "1 outputs, the metadata states 2"),
        ([(1, 3), (2,)], [([1, 3], F32)], "2 outputs, the metadata states 1"),
        (
            [(1, 3)],
            [([1, 3], "float64")],
            "output 0 is float32 [1, 3], the metadata states float64 [1, 3]",
        ),
        ([(3,)], [([1, 3], F32)], "output 0 is float32 [3], the metadata states float32 [1, 3]"),
        (
            [(1, 3), (1, 3, 1)],
            [([1, 3], F32), ([1, 3], F32)],
            "output 1 is float32 [1, 3, 1], the metadata states float32 [1, 3]",
        ),
        (
            [(0, 3)],
            [([1, 3], F32)],
            "output 0 is float32 [0, 3], the metadata states float32 [1, 3]",
        ),
        ([(0, 4)], [([0, 4], F32)], ""),  # no box was found
        ([(2, 4)], [([0, 4], F32)], ""),
        (
            [(3,)],
            [([1, 3], F32), ([2], F32)],
            "1 outputs, the metadata states 2; "
            "output 0 is float32 [3], the metadata states float32 [1, 3]",
        ),
    ],
)
def test_outputs_have_the_count_the_dtype_and_the_rank_that_are_stated(
    shapes: list[tuple[int, ...]], stated: list[tuple[list[int], str]], problem: str
) -> None:
    arrays = [np.ones(shape, np.float32) for shape in shapes]
    assert examined(arrays, *stated).problem == problem


@pytest.mark.parametrize(
    ("shape", "labels", "problem"),
    [
        ((2, 1, 3), 3, ""),
        ((2, 1, 3), 2, "2 labels for 3 outputs"),
        ((2, 1, 3), 1, "1 labels for 3 outputs"),
        ((3,), 3, ""),
        ((), 0, ""),
        ((), 1, "1 labels for 0 outputs"),
        (None, 0, "0 outputs, the metadata states 1"),
        (None, 1, "0 outputs, the metadata states 1; 1 labels for 0 outputs"),
    ],
)
def test_there_is_a_label_for_each_value_of_the_last_axis(
    shape: tuple[int, ...] | None, labels: int, problem: str
) -> None:
    arrays = [] if shape is None else [np.ones(shape, np.float32)]
    names = [f"class {index}" for index in range(labels)]
    assert examined(arrays, (list(shape or ()), F32), labels=names).problem == problem


def test_labels_are_counted_on_the_first_output() -> None:
    arrays = [np.ones((1, 3), np.float32), np.ones((1, 2), np.float32)]
    stated = ([1, 3], F32), ([1, 2], F32)
    assert examined(arrays, *stated, labels=["a", "b", "c"])
    assert not examined(arrays, *stated, labels=["a", "b"])


@pytest.mark.parametrize(("method", "slack"), [("none", 1e-5), ("static", 1e-3)])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_probabilities_lie_between_0_and_1(activation: str, method: str, slack: float) -> None:
    def problem(*values: float) -> str:
        rows = np.array([[0.5, 0.25, 0.25], values])
        stated = [2, 3], "float64"
        return examined([rows], stated, activation=activation, method=method).problem

    # At the edge itself, and a little beyond it on either side.
    assert problem(-slack, 0.5, 0.5 + slack) == ""
    assert problem(0.0, 1 + slack, -slack) == ""
    low, high = -1.1 * slack, 1 + 1.1 * slack
    assert problem(low, 0.5, 0.5 - low) == (
        f"probabilities reach from {low:.4g} to {0.5 - low:.4g}, not 0 to 1"
    )
    assert problem((1 - high) / 2, high, (1 - high) / 2) == (
        f"probabilities reach from {(1 - high) / 2:.4g} to {high:.4g}, not 0 to 1"
    )


@pytest.mark.parametrize(("method", "slack"), [("none", 1e-5), ("static", 1e-3)])
def test_a_softmax_sums_to_1_and_a_sigmoid_need_not(method: str, slack: float) -> None:
    def problem(activation: str, total: float) -> str:
        rows = np.array([[total - 0.5, 0.5], [0.5, 0.5]])
        return examined([rows], ([2, 2], "float64"), activation=activation, method=method).problem

    for sign in (-1, 1):
        assert problem("softmax", 1 + sign * 0.9 * slack) == ""
        # numpy's own relative tolerance would add 1e-5.
        off = 1 + sign * (slack + 0.5e-5)
        assert problem("softmax", off) == f"probabilities sum to {off:.6g}, not 1"
    assert problem("softmax", 0.5).startswith("probabilities sum to 0.5, ")
    assert problem("sigmoid", 0.6) == problem("sigmoid", 1.4) == ""
    assert problem("none", 40.0) == ""


def test_every_row_sums_to_1() -> None:
    rows = np.array([[[0.5, 0.5]], [[0.5, 0.4]]], np.float32)
    assert not examined([rows], ([2, 1, 2], F32), activation="softmax")
    # Columns do not have to.
    rows = np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)
    assert examined([rows], ([2, 2], F32), activation="softmax")


def test_probabilities_are_the_first_output_where_there_is_one() -> None:
    scores, boxes = np.array([[0.9, 0.1]], np.float32), np.array([[7.0, -8.0]], np.float32)
    stated = ([1, 2], F32), ([1, 2], F32)
    assert examined([scores, boxes], *stated, activation="softmax")
    assert not examined([boxes, scores], *stated, activation="softmax")
    nothing = examined([], ([1, 2], F32), activation="softmax")
    assert nothing.problem == "0 outputs, the metadata states 1"
    none_found = np.zeros((0, 2), np.float32)
    assert examined([none_found], ([0, 2], F32), activation="softmax")
    # A single number is judged, too.
    assert examined([np.array(0.3, np.float32)], ([], F32), activation="sigmoid")
    assert not examined([np.array(1.3, np.float32)], ([], F32), activation="sigmoid")
    assert not examined([np.array(0.3, np.float32)], ([], F32), activation="softmax")


def test_all_that_is_wrong_is_said() -> None:
    verdict = examined(
        [np.array([[1.5, 0.5]], np.float32)], ([2], F32), activation="softmax", labels=["a"]
    )
    assert [part.split()[0] for part in verdict.problem.split("; ")] == [
        "output", "1", "probabilities", "probabilities"
    ]  # fmt: skip
