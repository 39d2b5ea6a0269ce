"""What counts as the same bits and as the same batch, output by output, without a process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from runtime_check.comparison import Tolerance
from runtime_check.properties.base import Check
from runtime_check.properties.determinism import examine_batch, examine_determinism

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
