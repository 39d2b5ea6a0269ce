"""Parity against a model and a file of a few lines: what it demands, number by number."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime_check.artifact.archive import read_artifact
from runtime_check.artifact.metadata import (
    EAGER_STAGE,
    SAVED_STAGE,
    LedgerRow,
    Preprocessing,
)
from runtime_check.options import Demands
from runtime_check.properties.base import PropertyResult, Verdict
from runtime_check.properties.inputs import ImageRecipe
from runtime_check.properties.parity import (
    _int8_demand,
    _pairs,
    _parity_recipes,
    examine_parity,
    parity,
)
from runtime_check.properties.search import draw

from .fakes import WEIGHTS, a_check, honest, photo_input, stating

# The package has a function of that name.
module = importlib.import_module("runtime_check.properties.parity")
Answer = Callable[[int, Sequence[np.ndarray]], list[np.ndarray]]


def saved(sqnr_db: float | None, top1: float | None = None) -> LedgerRow:
    return LedgerRow(stage=SAVED_STAGE, sqnr_db=sqnr_db, top1=top1)


@pytest.mark.parametrize(
    ("rows", "sqnr_db", "top1"),
    [
        ([], 3.0, None),
        ([saved(30.0, 0.9)], 24.0, 0.8),
        ([saved(30.0, 0.9), saved(20.0, 0.6)], 14.0, 0.5),
        ([saved(30.0, 0.9), saved(None, 0.4)], 24.0, 0.8),
        ([saved(30.0)], 24.0, None),
        ([saved(8.5, 0.05)], 3.0, 0.0),
        ([saved(30.0, 0.9), LedgerRow(stage=EAGER_STAGE, sqnr_db=99.0, top1=1.0)], 24.0, 0.8),
    ],
)
def test_an_int8_file_is_held_to_its_last_stage_less_a_slack(
    rows: list[LedgerRow], sqnr_db: float, top1: float | None, tensor_ptl: Any
) -> None:
    metadata = read_artifact(tensor_ptl.path).metadata.model_copy(update={"ledger": rows})
    demand = _int8_demand(metadata)
    assert (demand.atol, demand.min_sqnr_db) == (np.inf, sqnr_db)
    assert demand.min_agreement == (None if top1 is None else pytest.approx(top1))


def int8_parity(
    made: Any, folder: Path, answer: Answer, *rows: LedgerRow, **changes: Any
) -> PropertyResult:
    with a_check(made.path, folder, answer, **changes) as check:
        return parity(stating(check, *rows, method="static"))


def quieter(decibels: float) -> Answer:
    """The outputs with an error that lies so far below them."""
    return lambda _, inputs: [honest(inputs)[0] * np.float32(1 + 10 ** (-decibels / 20))]


@pytest.mark.parametrize(
    ("decibels", "row", "demands", "status"),
    [
        (24.5, saved(30.0), Demands(), "passed"),
        (23.5, saved(30.0), Demands(), "failed"),
        (3.5, saved(5.0), Demands(), "passed"),
        (2.5, saved(5.0), Demands(), "failed"),
        (28.5, saved(30.0), Demands(min_sqnr_db=28.0), "passed"),
        (27.5, saved(30.0), Demands(min_sqnr_db=28.0), "failed"),
        (23.5, saved(30.0), Demands(min_sqnr_db=20.0), "failed"),  # a user may not demand less
        (40.0, saved(30.0), Demands(atol=1e-4), "failed"),
        (40.0, saved(30.0), Demands(rtol=0.011), "passed"),
    ],
)
def test_int8_noise_is_judged_over_all_inputs(
    decibels: float, row: LedgerRow, demands: Demands, status: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    result = int8_parity(tensor_ptl, tmp_path, quieter(decibels), row, demands=demands)
    assert (result.status, result.fault) == (status, "" if status == "passed" else "differs")
    assert result.comparison is not None
    if demands.atol is None:
        assert result.examples == 8
        assert result.comparison.elements == 8 * 3
        assert result.comparison.sqnr_db == pytest.approx(decibels, abs=0.01)
        assert result.reason.startswith("int8 against fp32 Python: 24 values, ")
    assert (result.counterexample is None) == (status == "passed")


def swapped(*calls: int) -> Answer:
    """The two largest outputs change places in these calls."""

    def answer(call: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        values = honest(inputs)[0]
        if call in calls:
            _, second, first = np.argsort(values[0])
            values[0, [first, second]] = values[0, [second, first]]
        return [values]

    return answer


@pytest.mark.parametrize(
    ("calls", "top1", "demands", "status"),
    [
        ((5,), 0.95, Demands(), "passed"),
        ((2, 5), 0.95, Demands(), "failed"),
        ((2, 5), None, Demands(), "passed"),
        ((2, 5), None, Demands(min_agreement=0.76), "failed"),
        ((2, 5), 0.95, Demands(min_agreement=0.1), "failed"),
    ],
)
def test_the_best_class_is_judged_over_all_inputs(
    calls: tuple[int, ...],
    top1: float | None,
    demands: Demands,
    status: str,
    tensor_ptl: Any,
    tmp_path: Path,
) -> None:
    row = saved(None if top1 is None else -50.0, top1)
    result = int8_parity(tensor_ptl, tmp_path, swapped(*calls), row, demands=demands)
    assert result.status == status
    assert result.comparison is not None
    assert result.comparison.top1 == 1 - len(calls) / 8


def test_the_worst_input_is_the_one_that_is_saved(tensor_ptl: Any, tmp_path: Path) -> None:
    def answer(call: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [honest(inputs)[0] + np.float32({3: 50.0, 4: -20.0}.get(call, 1.0))]

    with a_check(tensor_ptl.path, tmp_path, answer) as check:
        quantized = stating(check, saved(30.0), method="static")
        pairs = _pairs(quantized)
    result = int8_parity(tensor_ptl, tmp_path, answer, saved(30.0))
    assert (result.status, result.fault, result.examples) == ("failed", "differs", 8)
    assert result.minimal == repr(pairs[3].recipe)


def test_the_first_int8_input_that_cannot_be_compared_ends_it(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    calls = []

    def answer(call: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        calls.append(call)
        return [] if call == 2 else honest(inputs)

    result = int8_parity(tensor_ptl, tmp_path, answer, saved(30.0))
    assert (result.status, result.fault, result.examples) == ("failed", "differs", 3)
    assert calls == [0, 1, 2]
    assert result.counterexample is not None


def test_no_int8_input_proves_nothing(
    tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "draw", lambda *given: [])
    result = int8_parity(tensor_ptl, tmp_path, lambda _, x: honest(x), saved(30.0))
    assert (result.status, result.fault) == ("undecided", "too-few")


def test_int8_outputs_that_are_always_the_same_prove_nothing(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    same = np.float32([[1.0, 2.0, 3.0]])
    with a_check(tensor_ptl.path, tmp_path, lambda _, x: [same]) as check:
        assert check.reference is not None
        check.reference.network.forward = lambda x: torch.from_numpy(same).to(x.dtype)  # type: ignore[method-assign]
        result = parity(stating(check, saved(30.0), method="static"))
    assert (result.status, result.fault, result.examples) == ("undecided", "constant", 8)
    assert result.comparison is not None


def examine(
    made: Any, folder: Path, given: Sequence[float], answer: Answer, **stated: str
) -> Verdict:
    """Judge one input whose channels have these values throughout."""
    inputs = np.empty((1, 3, 8, 8), np.float32)
    inputs[0] = np.float32(given)[:, None, None]
    with a_check(made.path, folder, answer) as check:
        return examine_parity(stating(check, **stated), [inputs], natural=True)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(np.float64(logits) - logits.max())
    return np.float32(powers / powers.sum())


def test_what_a_softmax_hides_is_judged_before_it(tensor_ptl: Any, tmp_path: Path) -> None:
    """Logits 30, 0 and 0: the last two probabilities are 1e-13 and hide what they are."""

    def verdict(off: float, first: float = 30.0) -> Verdict:
        def answer(_: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
            return [softmax(honest(inputs)[0] + np.float32([[0.0, off, 0.0]]))]

        return examine(tensor_ptl, tmp_path, (first, 0.0, 0.0), answer, activation="softmax")

    found = verdict(1.0)
    assert found.fault == "differs"
    assert found.problem.startswith("output_0, before the softmax: ")
    assert found.comparison is not None
    assert found.comparison.max_abs == pytest.approx(1.0, abs=1e-3)
    right = verdict(0.0)
    assert (bool(right), right.telling, right.values) == (True, True, 3)
    assert [array.shape for array in (*right.expected, *right.actual)] == [(1, 3), (1, 3)]
    # The logits may differ by 1e-6 of 30, twice, and a thousandth.
    assert verdict(0.00104)
    assert not verdict(0.00112)
    saturated = verdict(0.0, first=200.0)
    assert (bool(saturated), saturated.telling) == (True, False)


def test_a_probability_that_differs_is_said_to_be_one(tensor_ptl: Any, tmp_path: Path) -> None:
    found = examine(
        tensor_ptl,
        tmp_path,
        (1.0, 0.0, 0.0),
        lambda _, x: [softmax(-honest(x)[0])],
        activation="softmax",
    )
    assert found.fault == "differs"
    assert "before" not in found.problem


class Cancels(torch.nn.Module):
    """Loses what lies below 2**-10 in float32."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.mean((2, 3)) * torch.from_numpy(WEIGHTS).to(x.dtype) + 1e4) - 1e4


def test_an_input_that_rounds_worse_has_the_allowance_it_needs_and_no_more(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    inputs = np.full((1, 3, 8, 8), 0.3, np.float32)
    for off, status in ((0.0, True), (0.1, False)):
        answer = lambda _, x, off=off: [honest(x)[0] + np.float32(off)]  # noqa: E731
        with a_check(tensor_ptl.path, tmp_path, answer) as check:
            assert check.reference is not None
            reference = replace(check.reference, network=Cancels().eval())
            rough = replace(check, reference=reference)
            assert bool(examine_parity(rough, [inputs], natural=True)) is status
            # Without a measured allowance what the file states is all there is.
            stated = replace(rough, allowance=replace(rough.allowance, rounding=None))
            assert not examine_parity(stated, [inputs], natural=True)


def test_only_values_are_measured_again(
    tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: Any) -> Any:
        raise AssertionError("measured")

    monkeypatch.setattr(module, "measure_rounding", never)
    assert examine(tensor_ptl, tmp_path, (1.0, 2.0, 3.0), lambda _, x: honest(x))
    assert not examine(tensor_ptl, tmp_path, (1.0, 2.0, 3.0), lambda _, x: [])


@pytest.mark.parametrize(
    ("demands", "off", "status"),
    [
        (Demands(atol=1e-7), 2**-22, "failed"),
        (Demands(atol=1.0), 2**-22, "passed"),
        (Demands(min_sqnr_db=400.0), 2**-22, "failed"),
        (Demands(min_sqnr_db=100.0), 2**-22, "passed"),
        (Demands(min_sqnr_db=0.0), 0.5, "failed"),
        (Demands(atol=1e6), 0.5, "failed"),  # a user may not demand less
        (Demands(min_agreement=1.0), 0.0, "passed"),
    ],
)
def test_what_a_user_demands_of_a_float_file_comes_on_top(
    demands: Demands, off: float, status: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    def answer(_: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [honest(inputs)[0] * np.float32(1 + off)]

    with a_check(tensor_ptl.path, tmp_path, answer, demands=demands) as check:
        result = parity(check)
    assert result.status == status
    if status == "passed" and demands.atol is None:
        assert result.examples == 10  # of which two are the usual ones


def test_what_a_user_demands_of_the_best_class_is_judged(tensor_ptl: Any, tmp_path: Path) -> None:
    with a_check(tensor_ptl.path, tmp_path, demands=Demands(min_agreement=0.9)) as check:
        wide = replace(check.allowance.rounding, finished=(10.0,))  # type: ignore[type-var]  # it was measured
        off = replace(check, allowance=replace(check.allowance, rounding=wide))
        assert parity(off).status == "passed"
    answer: Answer = lambda _, x: [honest(x)[0][:, ::-1].copy()]  # noqa: E731
    with a_check(tensor_ptl.path, tmp_path, answer, demands=Demands(min_agreement=0.9)) as check:
        wide = replace(check.allowance.rounding, finished=(10.0,))  # type: ignore[type-var]  # it was measured
        result = parity(replace(check, allowance=replace(check.allowance, rounding=wide)))
    assert (result.status, result.fault) == ("failed", "differs")
    assert result.reason.startswith("fp32 against fp32 Python: ")


def test_without_a_reference_it_is_skipped_unless_something_is_demanded(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    changes = {"reference": None, "no_reference": "nobody has it"}
    with a_check(tensor_ptl.path, tmp_path, **changes) as check:
        result = parity(check)
        assert (result.name, result.status, result.reason) == ("parity", "skipped", "nobody has it")
        result = parity(replace(check, demands=Demands(atol=1.0)))
    assert (result.status, result.fault) == ("undecided", "no-reference")
    assert "atol" in result.reason
    assert "nobody has it" in result.reason


def sizes(
    made: Any, folder: Path, size: tuple[int, int], *, crop_mode: str = "center", **changes: Any
) -> set[tuple[int, int]]:
    """The sizes of 60 drawn photos for a network of this size that crops half."""
    with a_check(made.path, folder) as check:
        preprocessing = Preprocessing.model_validate(
            {
                "input_size": (3, *size), "interpolation": "bilinear", "crop_pct": 0.5,
                "crop_mode": crop_mode, "mean": [0.0] * 3, "std": [1.0] * 3, "in_graph": True,
            }
        )  # fmt: skip
        spec = photo_input(min_side=4, max_side=changes.pop("max_side", 1000), max_aspect=3)
        metadata = check.metadata.model_copy(update={"input": spec, "preprocessing": preprocessing})
        photos = replace(check, artifact=replace(check.artifact, metadata=metadata), **changes)
        drawn = draw(_parity_recipes(photos), 60, 0)
    assert all(isinstance(recipe, ImageRecipe) for recipe in drawn)
    return {(recipe.height, recipe.width) for recipe in drawn}


def test_photos_have_a_short_side_that_needs_no_resize(tensor_ptl: Any, tmp_path: Path) -> None:
    found = sizes(tensor_ptl, tmp_path, (10, 10))
    assert {(20, 20), (20, 60), (60, 20)} <= found
    assert all(min(size) == 20 and max(size) <= 60 for size in found)
    # The largest photo, and the longest side, that the check and the file allow.
    assert (20, 50) in sizes(tensor_ptl, tmp_path, (10, 10), max_pixels=1000)
    assert max(map(max, sizes(tensor_ptl, tmp_path, (10, 10), max_pixels=1000))) == 50
    assert max(map(max, sizes(tensor_ptl, tmp_path, (10, 10), max_side=40))) == 40
    assert sizes(tensor_ptl, tmp_path, (10, 10), max_pixels=100) == {(20, 20)}
    # Where the sides differ or the photo is not cropped, one size alone is not resized.
    assert sizes(tensor_ptl, tmp_path, (10, 12)) == {(20, 24)}
    assert sizes(tensor_ptl, tmp_path, (10, 10), crop_mode="squash") == {(10, 10)}
