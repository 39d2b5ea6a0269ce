"""What counts as the same bits and as the same batch, output by output, without a process."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from runtime_check.artifact.metadata import ImageInput, TensorInput
from runtime_check.comparison import Tolerance, compare
from runtime_check.metrics import CLASSES, Metric
from runtime_check.properties.base import Check, PropertyResult
from runtime_check.properties.determinism import (
    batch,
    determinism,
    examine_batch,
    examine_determinism,
)
from runtime_check.properties.inputs import Recipe
from runtime_check.properties.search import draw

from .fakes import WEIGHTS, a_check, honest, photo_input

# The package has a function of that name.
module = importlib.import_module("runtime_check.properties.determinism")
Outputs = list[np.ndarray]
ONE, TWO = np.array([[1.0, 0.0]], np.float32), np.array([[3.0, 4.0, 5.0]], np.float32)


@dataclass
class Calls:
    """A check whose file answers by the number of the call and by the number of threads."""

    answer: Callable[[int, int, Sequence[np.ndarray]], Outputs]
    costly: bool = False
    allowed: float = 0.0
    threads: list[int] = field(default_factory=list)

    @property
    def metric(self) -> Metric:
        return CLASSES

    @property
    def runtime(self) -> SimpleNamespace:
        return SimpleNamespace(costly=self.costly)

    @property
    def allowance(self) -> SimpleNamespace:
        return SimpleNamespace(for_outputs=lambda _: Tolerance(atol=self.allowed))

    def run(self, inputs: Sequence[np.ndarray], *, threads: int = 1) -> Outputs:
        self.threads.append(threads)
        return [value.copy() for value in self.answer(len(self.threads) - 1, threads, inputs)]


def determinism_of(calls: Calls) -> Any:
    return examine_determinism(cast(Check, calls), [ONE], True)


def test_three_runs_on_one_thread_and_one_on_two() -> None:
    calls = Calls(lambda *_: [ONE, TWO])
    verdict = determinism_of(calls)
    assert verdict
    assert calls.threads == [1, 1, 1, 2]
    assert verdict.values == 5


def test_where_runs_are_dear_threads_are_left_out() -> None:
    calls = Calls(lambda *_: [ONE, TWO], costly=True)
    verdict = determinism_of(calls)
    assert verdict
    assert calls.threads == [1, 1, 1]
    assert verdict.values == 5
    assert verdict.comparison == compare([ONE, TWO], [ONE, TWO], Tolerance())


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize(
    "changed",
    [
        [ONE, TWO + np.float32(1e-6)],
        # Equal numbers, and other bits.
        [np.array([[1.0, -0.0]], np.float32), TWO],
        # The same bits, and another shape.
        [ONE, TWO.reshape(3, 1)],
        [ONE],
        [ONE, TWO, TWO],
        [ONE, TWO.astype(np.float64)],
    ],
    ids=["value", "sign", "shape", "fewer", "more", "dtype"],
)
def test_any_other_bit_of_any_output_in_any_repeat_is_a_difference(
    call: int, changed: Outputs
) -> None:
    verdict = determinism_of(Calls(lambda n, *_: changed if n == call else [ONE, TWO]))
    assert not verdict
    assert verdict.fault == "differs"
    assert "the same input twice gave different bits" in verdict.problem
    assert [value.tolist() for value in verdict.expected] == [ONE.tolist(), TWO.tolist()]
    assert [value.tolist() for value in verdict.actual] == [value.tolist() for value in changed]
    bits = compare([ONE, TWO], changed, Tolerance())
    assert (verdict.comparison, verdict.values) == (bits, bits.elements)


@pytest.mark.parametrize(("off", "ok"), [(0.5, True), (1.5, False)])
def test_threads_may_differ_by_the_tolerance_and_no_more(off: float, ok: bool) -> None:
    def answer(_: int, threads: int, __: Sequence[np.ndarray]) -> Outputs:
        return [ONE, TWO + np.float32(off * (threads == 2))]

    verdict = determinism_of(Calls(answer, allowed=1.0))
    assert bool(verdict) == ok
    if not ok:
        assert "2 threads against 1" in verdict.problem
        assert verdict.actual[1].tolist() == [[4.5, 5.5, 6.5]]


def batch_of(answer: Callable[[Sequence[np.ndarray]], Outputs], allowed: float = 0.0) -> Any:
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    calls = Calls(lambda _, __, inputs: answer(inputs), allowed=allowed)
    return examine_batch(cast(Check, calls), [rows], True), calls


def test_a_batch_is_compared_with_each_of_its_rows() -> None:
    verdict, calls = batch_of(lambda inputs: [inputs[0] * 2, inputs[0].sum(1)])
    assert verdict
    assert len(calls.threads) == 4  # the batch, and three rows
    assert [value.tolist() for value in verdict.expected] == [
        [[0.0, 2.0], [4.0, 6.0], [8.0, 10.0]],
        [1.0, 5.0, 9.0],
    ]


@pytest.mark.parametrize(("off", "ok"), [(0.5, True), (1.5, False)])
def test_only_the_last_row_of_the_last_output_is_off(off: float, ok: bool) -> None:
    def answer(inputs: Sequence[np.ndarray]) -> Outputs:
        second = inputs[0].sum(1)
        if len(second) == 3:
            second[2] += off
        return [inputs[0], second]

    verdict, _ = batch_of(answer, allowed=1.0)
    assert bool(verdict) == ok
    if not ok:
        assert "a batch of 3 against its rows" in verdict.problem


def test_rows_without_an_axis_are_no_batch() -> None:
    for answer in (
        lambda inputs: [np.asarray(inputs[0].sum())],
        lambda inputs: [inputs[0], np.asarray(inputs[0].sum())],
        lambda inputs: [inputs[0]] * (1 + int(inputs[0][0, 0] == 2.0)),
    ):
        verdict, _ = batch_of(answer)
        assert not verdict
        assert verdict.fault == "differs"
        assert "do not make a batch" in verdict.problem
        assert verdict.actual


def taking(check: Check, spec: ImageInput | TensorInput) -> Check:
    """The check of a file that takes this."""
    metadata = check.metadata.model_copy(update={"input": spec})
    return replace(check, artifact=replace(check.artifact, metadata=metadata))


def drawn_by(judge: Any, check: Check, monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """What a property draws its inputs of, 200 times."""
    strategies: list[Any] = []

    def explore(check: Check, name: str, strategy: Any, examine: Any) -> PropertyResult:
        strategies.append(strategy)
        return PropertyResult(name=name, status="passed", reason="")

    with monkeypatch.context() as patched:
        patched.setattr(module, "explore", explore)
        assert judge(check)
    (strategy,) = strategies
    return draw(strategy, 200, 0)


@pytest.mark.parametrize(
    ("costly", "examples", "judged"), [(False, 4, 4), (True, 4, 2), (True, 2, 2), (True, 1, 1)]
)
def test_where_runs_are_dear_two_inputs_do(
    costly: bool, examples: int, judged: int, tensor_ptl: Any, tmp_path: Path
) -> None:
    calls = []

    def answer(call: int, inputs: Sequence[np.ndarray]) -> Outputs:
        calls.append(call)
        return honest(inputs)

    with a_check(tensor_ptl.path, tmp_path, answer, examples=examples) as check:
        check.runtime.costly = costly
        result = determinism(check)
    assert (result.name, result.status, result.examples) == ("determinism", "passed", judged)
    assert len(calls) == judged * (3 if costly else 4)


def test_a_file_that_answers_otherwise_is_not_deterministic(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    def answer(call: int, x: Sequence[np.ndarray]) -> Outputs:
        return [honest(x)[0] + np.float32(call % 2)]

    with a_check(tensor_ptl.path, tmp_path, answer) as check:
        result = determinism(check)
    assert (result.name, result.status, result.fault) == ("determinism", "failed", "differs")
    assert result.comparison is not None
    assert result.counterexample is not None


def test_repeated_photos_are_as_large_as_the_check_allows(
    tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = photo_input(min_side=4, max_side=1000, max_aspect=3)
    with a_check(tensor_ptl.path, tmp_path, max_pixels=1600) as check:
        drawn = drawn_by(determinism, taking(check, spec), monkeypatch)
    assert max(recipe.build()[0].size for recipe in drawn) == 3 * 1600


def test_only_a_file_whose_batch_may_vary_is_given_batches(tensor_ptl: Any, tmp_path: Path) -> None:
    with a_check(tensor_ptl.path, tmp_path) as check:
        fixed = check.metadata.input.model_copy(update={"dynamic_batch": False})
        photo = photo_input(min_side=4, max_side=1000, max_aspect=3)
        for spec, why in ((fixed, "one fixed batch size"), (photo, "one image at a time")):
            result = batch(taking(check, spec))
            assert (result.name, result.status) == ("batch", "skipped")
            assert result.reason.endswith(why)


def test_batches_are_of_two_to_four_of_three_kinds(
    tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_check(tensor_ptl.path, tmp_path) as check:
        spec = check.metadata.input.model_copy(update={"dynamic_batch": True})
        drawn: list[Any] = drawn_by(batch, taking(check, spec), monkeypatch)
    assert {(recipe.content, recipe.batch) for recipe in drawn} == {
        (content, count) for content in ("normal", "zero", "constant") for count in (2, 3, 4)
    }
    assert {recipe.build()[0].shape[0] for recipe in drawn} == {2, 3, 4}


@pytest.mark.parametrize(("mixes", "status"), [(False, "passed"), (True, "failed")])
def test_a_file_that_mixes_the_rows_of_a_batch_fails(
    mixes: bool, status: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    def answer(_: int, inputs: Sequence[np.ndarray]) -> Outputs:
        shift = inputs[0].mean() * WEIGHTS if mixes else np.float32(0)
        return [honest(inputs)[0] - shift]

    with a_check(tensor_ptl.path, tmp_path, answer) as check:
        spec = check.metadata.input.model_copy(update={"dynamic_batch": True})
        result = batch(taking(check, spec))
    assert (result.name, result.status) == ("batch", status)
    assert result.fault == ("differs" if mixes else "")
