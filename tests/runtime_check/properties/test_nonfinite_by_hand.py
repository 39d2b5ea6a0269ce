"""What of NaN and infinity in the outputs is noted and what fails, by a file of a few lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from runtime_check.properties.base import Check, Verdict
from runtime_check.properties.nonfinite import examine_nonfinite, nonfinite

from .fakes import a_check, honest, photo_input

Outputs = list[np.ndarray]
NAN, INF = np.nan, np.inf


def examined(expected: Outputs, actual: Outputs) -> Verdict:
    """Judge what a file answers where Python answers something."""
    given = [np.array([[NAN]], np.float32)]
    check = SimpleNamespace(
        expect=lambda inputs: expected if inputs is given else None,
        run=lambda inputs: actual if inputs is given else None,
    )
    verdict = examine_nonfinite(cast(Check, check), given, True)
    assert [id(array) for array in verdict.expected] == [id(array) for array in expected]
    assert [id(array) for array in verdict.actual] == [id(array) for array in actual]
    return verdict


def row(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


@pytest.mark.parametrize(
    ("expected", "actual", "hidden"),
    [
        ([row(NAN, INF, 1.0)], [row(NAN, INF, 1.0)], 0),
        ([row(NAN, INF, 1.0)], [row(INF, NAN, 1.0)], 0),  # not hidden, whatever it is
        ([row(1.0, 2.0, 3.0)], [row(1.0, 2.0, 3.0)], 0),
        ([row(1.0, 2.0, 3.0)], [row(-1.0, 0.0, 1e9)], 0),  # parity's matter
        ([row(1.0, 2.0, 3.0)], [row(NAN, INF, 3.0)], 0),  # the file shows more than Python
        ([row(NAN, 2.0, 3.0)], [row(0.0, 2.0, 3.0)], 1),
        ([row(1.0, 2.0, -INF)], [row(1.0, 2.0, 0.0)], 1),
        ([row(NAN, INF, -INF)], [row(0.0, 6.0, 0.0)], 3),
        ([row(NAN, 1.0), row(NAN)], [row(0.0, 1.0), row(0.0)], 2),
        ([row(1.0, 1.0), row(NAN)], [row(NAN, 1.0), row(0.0)], 1),
    ],
)
def test_ordinary_numbers_in_the_place_of_others_are_counted(
    expected: Outputs, actual: Outputs, hidden: int
) -> None:
    verdict = examined(expected, actual)
    assert (bool(verdict), verdict.problem, verdict.fault) == (True, "", "")
    assert verdict.values == 3
    said = f"Python answers NaN or infinity and the file {hidden} ordinary numbers "
    assert verdict.remark.startswith(said) if hidden else verdict.remark == ""


@pytest.mark.parametrize(
    ("actual", "problem"),
    [
        ([], "1 outputs expected, 0 came: not comparable."),
        ([row(NAN, 1.0), row(1.0)], "1 outputs expected, 2 came: not comparable."),
        ([row(NAN)], "shape (1, 1), expected (1, 2)."),  # which numpy would repeat
        ([row(NAN, 1.0).astype(np.float64)], "dtype float64, expected float32."),
    ],
)
def test_outputs_of_another_kind_fail(actual: Outputs, problem: str) -> None:
    verdict = examined([row(NAN, 1.0)], actual)
    assert (bool(verdict), verdict.fault, verdict.problem) == (False, "differs", problem)
    assert verdict.remark == ""


def test_outputs_without_values_fail() -> None:
    verdict = examined([row()], [row()])
    assert (bool(verdict), verdict.fault) == (False, "differs")
    assert verdict.problem.startswith("Nothing to compare")


def clamps(inputs: Sequence[np.ndarray]) -> Outputs:
    return [np.nan_to_num(honest(inputs)[0], nan=0.0, posinf=6.0, neginf=0.0)]


@pytest.mark.parametrize(
    ("answer", "status"),
    [(honest, "passed"), (clamps, "noted"), (lambda _: [], "failed")],
    ids=["honest", "clamps", "nothing"],
)
def test_what_is_hidden_is_noted_and_what_differs_in_kind_fails(
    answer: Callable[[Sequence[np.ndarray]], Outputs], status: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    seen: list[np.ndarray] = []

    def run(_: int, inputs: Sequence[np.ndarray]) -> Outputs:
        seen.extend(inputs)
        return answer(inputs)

    with a_check(tensor_ptl.path, tmp_path, run) as check:
        result = nonfinite(check)
    assert (result.name, result.status) == ("nonfinite", status)
    # One value of each input is not finite.
    broken = [array[~np.isfinite(array)].tolist() for array in seen]
    assert all(len(values) == 1 for values in broken)
    if status == "failed":
        assert result.fault == "differs"
        return
    assert result.examples == len(seen) == 8
    assert result.reason.startswith(
        "8 of 8 inputs: Python answers NaN or infinity and the file 1 ordinary numbers "
        if status == "noted"
        else "held for every input"
    )


def test_it_is_skipped_for_photos_and_without_a_reference(tensor_ptl: Any, tmp_path: Path) -> None:
    with a_check(tensor_ptl.path, tmp_path, reference=None, no_reference="nobody has it") as check:
        result = nonfinite(check)
        assert (result.name, result.status) == ("nonfinite", "skipped")
        assert result.reason == "nobody has it"
    with a_check(tensor_ptl.path, tmp_path) as check:
        photo = photo_input(min_side=4, max_side=8)
        stated = check.metadata.model_copy(update={"input": photo})
        result = nonfinite(replace(check, artifact=replace(check.artifact, metadata=stated)))
        assert (result.name, result.status) == ("nonfinite", "skipped")
        assert "uint8" in result.reason
