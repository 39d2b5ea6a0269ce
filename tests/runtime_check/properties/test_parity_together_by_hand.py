"""Parity over many inputs at once: what is drawn, counted, compared and said of them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_check.comparison import Comparison, Tolerance, compare
from runtime_check.options import Demands
from runtime_check.properties.base import Check, PropertyResult, Trial, Verdict
from runtime_check.properties.counterexample import load_counterexample
from runtime_check.properties.inputs import ImageRecipe, TensorRecipe
from runtime_check.properties.parity import _distance, _Pair, _pairs, _together, parity

from .fakes import a_check, honest, photo_input, stating

# The package has a function of that name.
module = importlib.import_module("runtime_check.properties.parity")
RECIPE = TensorRecipe("normal", None, 7, (((1, 3, 8, 8), "float32"),))
NO_LIMIT = Tolerance(atol=np.inf)


def pair_of(
    *expected: Sequence[float], actual: Sequence[Sequence[float]] | None = None, seed: int = 0
) -> _Pair:
    """One input with these outputs of Python's, and of the file's where they are others."""
    wanted = [np.array([values], np.float32) for values in expected]
    came = wanted if actual is None else [np.array([values], np.float32) for values in actual]
    verdict = Verdict(
        comparison=compare(wanted, came, NO_LIMIT),
        values=1,
        expected=tuple(wanted),
        actual=tuple(came),
    )
    return _Pair(recipe=replace(RECIPE, seed=seed), verdict=verdict)


def judged(
    made: Any,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *pairs: _Pair,
    demand: Tolerance = NO_LIMIT,
    method: str = "static",
    examples: int | None = None,
) -> PropertyResult:
    """What is said of these pairs, by a check that is to draw as many."""
    monkeypatch.setattr(module, "_pairs", lambda check: list(pairs))
    with a_check(made.path, folder, sha256="0" * 64) as check:
        first = pairs[0].verdict.expected if pairs else ()
        outputs = [(array.shape, str(array.dtype)) for array in first]
        check = stating(check, method=method, outputs=outputs or None)
        check = replace(check, examples=len(pairs) if examples is None else examples)
        return _together(check, Trial.begin(check, "parity"), demand)


@pytest.mark.parametrize(("method", "stored"), [("none", "fp32"), ("static", "int8")])
def test_all_inputs_are_counted_and_measured_as_one(
    method: str, stored: str, tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signal 9 + 16, noise 1: 10 log10(25) dB; of the second output 81 + 81 and 9 + 9: 9.

    The worse of the two counts. The best class is the same in the first output alone.
    """
    pairs = (
        pair_of([3.0, 0.0], [9.0, 0.0], actual=[[3.0, 0.0], [6.0, 0.0]]),
        pair_of([0.0, 4.0], [0.0, 9.0], actual=[[0.0, 5.0], [3.0, 9.0]]),
    )
    result = judged(tensor_ptl, tmp_path, monkeypatch, *pairs, method=method)
    assert (result.name, result.status, result.examples) == ("parity", "passed", 2)
    found = result.comparison
    assert found is not None
    assert (found.elements, found.max_abs, found.top1) == (8, 3.0, 1.0)
    assert found.sqnr_db == pytest.approx(9.542, abs=1e-3)
    assert result.reason == f"{stored} against fp32 Python: {found}"


def test_what_is_demanded_is_demanded_of_all_of_them(
    tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = (
        pair_of([3.0, 0.0], seed=1),
        pair_of([0.0, 4.0], actual=[[0.0, 5.0]], seed=2),
        pair_of([0.0, 0.0], actual=[[0.0, 0.5]], seed=3),
    )
    demand = replace(NO_LIMIT, min_sqnr_db=20.0)
    result = judged(tensor_ptl, tmp_path, monkeypatch, *pairs, demand=demand, method="none")
    assert (result.name, result.status, result.fault) == ("parity", "failed", "differs")
    assert (result.examples, result.minimal) == (3, repr(pairs[1].recipe))
    assert result.comparison is not None
    assert result.comparison.elements == 6
    assert result.reason == f"fp32 against fp32 Python: {result.comparison}"
    # The worst input is saved, with what all of them together showed.
    assert result.counterexample is not None
    saved = load_counterexample(result.counterexample)
    assert (saved.property, saved.problem) == ("parity", str(result.comparison))
    assert saved.recipe == repr(pairs[1].recipe)
    assert [value.tolist() for value in saved.actual] == [[[0.0, 5.0]]]


@pytest.mark.parametrize(
    ("demand", "status"),
    [
        ({"min_sqnr_db": 13.9}, "failed"),  # which the first output alone would meet
        ({"min_sqnr_db": 9.5}, "passed"),
        ({"min_agreement": 1.0}, "passed"),
    ],
)
def test_the_worst_of_several_outputs_meets_the_demand(
    demand: dict[str, float],
    status: str,
    tensor_ptl: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs = (
        pair_of([3.0, 0.0], [9.0, 0.0], actual=[[3.0, 0.0], [6.0, 0.0]]),
        pair_of([0.0, 4.0], [0.0, 9.0], actual=[[0.0, 5.0], [0.0, 6.0]]),
    )
    demanded = replace(NO_LIMIT, **demand)
    result = judged(tensor_ptl, tmp_path, monkeypatch, *pairs, demand=demanded)
    assert result.status == status


def test_no_input_is_counted_as_none(
    tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = judged(tensor_ptl, tmp_path, monkeypatch, examples=1)
    assert (result.status, result.fault, result.examples) == ("undecided", "too-few", 0)
    assert result.reason.startswith("0 inputs with 0 values were compared")


def test_fewer_inputs_than_were_to_be_prove_nothing(
    tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = pair_of([1.0, 2.0]), pair_of([2.0, 1.0])
    result = judged(tensor_ptl, tmp_path, monkeypatch, *pairs, examples=3)
    assert (result.status, result.fault, result.examples) == ("undecided", "too-few", 2)
    assert result.reason.startswith("2 inputs with 4 values were compared")


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        ([pair_of([1.0, 2.0], [0.0]), pair_of([1.0, 2.0], [9.0])], "passed"),
        ([pair_of([1.0, 2.0], [0.0]), pair_of([1.0, 2.0], [0.0])], "undecided"),
        ([pair_of([1.0, 2.0], [0.0]), pair_of([1.0, 2.1], [0.0])], "passed"),
        ([pair_of([1.0, 2.0])], "passed"),  # one alone cannot differ from another
    ],
    ids=["second", "neither", "a-little", "alone"],
)
def test_some_output_has_to_depend_on_the_input(
    pairs: list[_Pair],
    status: str,
    tensor_ptl: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = judged(tensor_ptl, tmp_path, monkeypatch, *pairs)
    assert (result.name, result.status, result.examples) == ("parity", status, len(pairs))
    assert result.fault == ("" if status == "passed" else "constant")
    assert result.comparison is not None
    assert result.comparison.elements == sum(
        array.size for pair in pairs for array in pair.verdict.expected
    )


@pytest.mark.parametrize("fault", ["differs", "raised", "hung", "reference", "late", "bug"])
def test_an_input_that_could_not_be_compared_speaks_for_itself(
    fault: Any, tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = compare(np.zeros(1), np.zeros(2), NO_LIMIT)
    verdict = Verdict(problem="what came of it", fault=fault, comparison=shapes)
    wrong = _Pair(recipe=RECIPE, verdict=verdict)
    result = judged(tensor_ptl, tmp_path, monkeypatch, pair_of([1.0]), wrong, examples=8)
    assert (result.name, result.fault, result.reason) == ("parity", fault, "what came of it")
    assert (result.examples, result.minimal) == (2, repr(RECIPE))
    assert result.comparison is shapes
    # Only an input that shows the file to be wrong is one against it.
    if fault in ("reference", "late", "bug"):
        assert (result.status, result.counterexample) == ("undecided", None)
        assert not list(tmp_path.iterdir())
    else:
        assert result.status == "failed"
        assert result.counterexample is not None
        saved = load_counterexample(result.counterexample)
        assert (saved.property, saved.problem) == ("parity", "what came of it")
        assert result.counterexample.name.endswith("-parity-scripted.npz")


@pytest.mark.parametrize(
    ("comparison", "distance"),
    [
        (None, 0.0),
        (compare(np.ones(2), np.ones(2), NO_LIMIT), 0.0),
        (compare(np.full(2, np.nan), np.full(2, np.nan), NO_LIMIT), 0.0),  # no finite pair
        (compare(np.ones(2), np.array([1.0, 0.75]), NO_LIMIT), 0.25),
    ],
)
def test_an_input_is_as_far_off_as_its_largest_difference(
    comparison: Comparison | None, distance: float
) -> None:
    assert _distance(_Pair(recipe=RECIPE, verdict=Verdict(comparison=comparison))) == distance


def test_noise_is_what_tensors_are_drawn_of(tensor_ptl: Any, tmp_path: Path) -> None:
    with a_check(tensor_ptl.path, tmp_path, examples=5) as check:
        pairs = _pairs(check)
        again = _pairs(replace(check, seed=1))
    assert len(pairs) == 5
    assert {(pair.recipe.content, pair.recipe.natural) for pair in pairs} == {("normal", True)}
    assert {pair.recipe.seed for pair in pairs} != {pair.recipe.seed for pair in again}
    for pair in pairs:
        given = pair.recipe.build()
        assert given[0].shape == (1, 3, 8, 8)
        assert pair.verdict.actual[0].tolist() == honest(given)[0].tolist()
        assert pair.verdict.values == 3


def test_photos_are_drawn_as_large_as_is_allowed_and_never_of_one_color(
    tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[tuple[int, ...], bool]] = []

    def judge(check: Check, examine: Any, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
        assert examine is module._examine_distance
        asked.append((inputs[0].shape, natural))
        return Verdict(values=1)

    monkeypatch.setattr(module, "judge", judge)
    spec = photo_input(min_side=4, max_side=1000, max_aspect=3)
    with a_check(tensor_ptl.path, tmp_path, examples=60, max_pixels=1600) as check:
        metadata = check.metadata.model_copy(update={"input": spec})
        photos = replace(check, artifact=replace(check.artifact, metadata=metadata))
        drawn = [pair.recipe for pair in _pairs(photos)]
    assert all(isinstance(recipe, ImageRecipe) for recipe in drawn)
    assert {recipe.content for recipe in drawn} == {"gradient", "blobs", "pink"}
    assert max(height * width for (height, width, _), _ in asked) == 1600
    assert min(min(shape[:2]) for shape, _ in asked) == 4
    assert {natural for _, natural in asked} == {True}
    assert len(asked) == len(drawn)


def scaled(off: float) -> Any:
    return lambda _, inputs: [honest(inputs)[0] * np.float32(1 + off)]


@pytest.mark.parametrize(
    "demands", [Demands(min_sqnr_db=400.0), Demands(min_agreement=1.0)], ids=["sqnr", "top1"]
)
def test_a_float_file_that_failed_is_not_judged_again(
    demands: Demands, tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: Any) -> Any:
        raise AssertionError("judged again")

    monkeypatch.setattr(module, "_together", never)
    with a_check(tensor_ptl.path, tmp_path, scaled(0.5), demands=demands) as check:
        result = parity(check)
    assert (result.name, result.status, result.fault) == ("parity", "failed", "differs")
    assert "fp32 against" not in result.reason
    # Nor is one of which nothing more is demanded.
    for fewer in (Demands(), Demands(atol=1.0)):
        with a_check(tensor_ptl.path, tmp_path, demands=fewer) as check:
            assert parity(check).status == "passed"


@pytest.mark.parametrize(
    ("demands", "status"),
    [
        (Demands(min_sqnr_db=100.0), "passed"),
        (Demands(min_sqnr_db=400.0), "failed"),
        (Demands(min_agreement=1.0), "passed"),
        (Demands(min_sqnr_db=400.0, min_agreement=1.0), "failed"),
        (Demands(min_sqnr_db=100.0, min_agreement=1.0), "passed"),
    ],
)
def test_a_float_file_that_passed_is_judged_by_the_figures_too(
    demands: Demands, status: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    with a_check(tensor_ptl.path, tmp_path, scaled(2**-22), demands=demands) as check:
        result = parity(check)
    assert (result.name, result.status) == ("parity", status)
    assert result.examples == (10 if status == "passed" else 8)
    assert (result.counterexample is None) == (status == "passed")
    if status == "failed":
        assert result.reason.startswith("fp32 against fp32 Python: 24 values, ")


@pytest.mark.parametrize(("off", "status"), [(0.01, "passed"), (0.9, "failed")])
def test_what_is_said_of_an_int8_file_is_said_of_its_parity(
    off: float, status: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    with a_check(tensor_ptl.path, tmp_path, scaled(off)) as check:
        result = parity(stating(check, method="static"))
    assert (result.name, result.status, result.examples) == ("parity", status, 8)
