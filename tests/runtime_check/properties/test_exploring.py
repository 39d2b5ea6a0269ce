"""How inputs are drawn, judged and shrunk, on recipes that are numbers and files that are fakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from runtime_check.comparison import Tolerance, compare
from runtime_check.properties.base import Check, PropertyResult, Verdict, verdict_of
from runtime_check.properties.search import draw, explore
from runtime_check.runtimes.run import ChildDied

from .fakes import a_check


@dataclass(frozen=True)
class Number:
    """A recipe of one number; odd ones are natural."""

    value: int

    @property
    def natural(self) -> bool:
        return self.value % 2 == 1

    def build(self) -> tuple[np.ndarray, ...]:
        return (np.float32([self.value]),)


NUMBERS = st.builds(Number, st.integers(0, 10_000))
FIRST = (Number(-1), Number(-2))


def good(value: float, *, constant: bool = False, **changes: Any) -> Verdict:
    outputs = [np.float32([1.0 if constant else value])]
    shift = np.float32(abs(value) / 2**20)
    found = compare(outputs, [outputs[0] + shift], Tolerance(atol=0.125))
    return replace(verdict_of(found, outputs, outputs), **changes)


def bad(value: float) -> Verdict:
    one, other = np.float32([value]), np.float32([value + 1])
    return verdict_of(compare(one, other, Tolerance()), [one], [other])


class Examiner:
    """Judge by a function of the number; remember what was asked."""

    def __init__(self, judge: Any) -> None:
        self.judge = judge
        self.asked: list[tuple[int, bool]] = []

    def __call__(self, check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
        value = int(inputs[0][0])
        self.asked.append((value, natural))
        return self.judge(value)  # type: ignore[no-any-return]


@pytest.fixture
def check(tensor_ptl: Any, tmp_path: Path) -> Any:
    with a_check(tensor_ptl.path, tmp_path, examples=7) as made:
        yield made


def explored(check: Check, judge: Any, **given: Any) -> tuple[PropertyResult, Examiner]:
    examiner = Examiner(judge)
    arguments: dict[str, Any] = {"first": FIRST, **given}
    return explore(check, "parity", arguments.pop("strategy", NUMBERS), examiner, **arguments), (
        examiner
    )


def test_the_first_and_as_many_drawn_are_judged(check: Check) -> None:
    result, examiner = explored(check, good)
    assert (result.status, result.examples) == ("passed", 9)
    assert len(set(examiner.asked)) == len(examiner.asked) == 9
    assert examiner.asked[:2] == [(-1, True), (-2, False)]
    assert all(natural == (value % 2 == 1) for value, natural in examiner.asked)
    largest = max(abs(value) for value, _ in examiner.asked)
    assert result.comparison is not None
    assert result.comparison.max_abs == pytest.approx(largest / 2**20, rel=0.01)


def test_the_seed_decides_what_is_drawn(check: Check) -> None:
    drawn = [explored(replace(check, seed=seed), good)[1].asked for seed in (3, 3, 40)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_inputs_drawn_twice_count_once(check: Check) -> None:
    result, examiner = explored(check, good, strategy=st.sampled_from([Number(4), Number(5)]))
    assert (result.status, result.fault, result.examples) == ("undecided", "too-few", 4)
    assert len(examiner.asked) == 4
    # Where there are enough, it is asked again until it has drawn them.
    few = st.integers(0, 1000).map(lambda number: Number(number % 9))
    result, _ = explored(check, good, strategy=few)
    assert (result.status, result.examples >= 9) == ("passed", True)


def test_the_smallest_failing_input_is_kept(check: Check) -> None:
    result, examiner = explored(check, lambda value: (bad if value >= 100 else good)(value))
    assert (result.status, result.fault) == ("failed", "differs")
    assert result.minimal == "Number(value=100)"
    assert result.comparison is not None
    assert result.comparison.worst_expected == 100.0
    assert result.examples == len(set(examiner.asked))
    assert result.counterexample is not None
    assert result.counterexample.exists()
    assert (100, False) in examiner.asked


def test_a_first_input_that_fails_is_enough(check: Check) -> None:
    result, examiner = explored(check, lambda value: bad(value) if value == -1 else good(value))
    assert (result.status, result.minimal) == ("failed", "Number(value=-1)")
    assert (-2, False) not in examiner.asked


@pytest.mark.parametrize(
    ("cause", "calls"), [("hung", 1), ("memory", 3), ("crashed", 7), ("nonsense", 7)]
)
def test_shrinking_stops_where_each_failure_costs_a_process(
    cause: Any, calls: int, check: Check
) -> None:
    def judge(value: int) -> Verdict:
        if value >= 100:
            raise ChildDied("gone", cause=cause)
        return good(value)

    result, examiner = explored(check, judge)
    assert (result.status, result.fault) == ("failed", cause)
    died = next(i for i, (value, _) in enumerate(examiner.asked) if value >= 100)
    assert len(examiner.asked) - died == calls


def test_an_emulated_device_is_asked_less(check: Check) -> None:
    def judge(value: int) -> Verdict:
        return bad(value) if value >= 100 else good(value)

    calls = {}
    for costly in (True, False):
        check.runtime.costly = costly
        result, examiner = explored(check, judge)
        assert result.fault == "differs"
        found = next(i for i, (value, _) in enumerate(examiner.asked) if value >= 100)
        calls[costly] = len(examiner.asked) - found
    assert calls[True] == 13  # the failing one, and 12 to shrink it
    assert calls[False] > 13


def test_a_mistake_of_ours_is_no_counterexample(check: Check) -> None:
    result, _ = explored(check, lambda value: 1 / 0)
    assert (result.status, result.fault, result.counterexample) == ("undecided", "bug", None)
    assert result.examples >= 1


def test_a_strategy_that_draws_nothing_proves_nothing(check: Check) -> None:
    result, _ = explored(check, good, strategy=st.nothing())
    assert (result.status, result.fault, result.examples) == ("undecided", "unsteady", 2)
    assert result.reason.startswith("hypothesis: ")


def test_outputs_that_never_change_prove_nothing(check: Check) -> None:
    result, _ = explored(check, lambda value: good(value, constant=True))
    assert (result.status, result.fault, result.examples) == ("undecided", "constant", 9)
    assert result.comparison is not None
    # Of a property that looks for something else, nothing is asked.
    free, _ = explored(check, lambda value: good(value, constant=True), first=())
    assert (free.status, free.examples) == ("passed", 7)


def test_one_output_of_two_that_never_changes_is_named(check: Check) -> None:
    def judge(value: int) -> Verdict:
        outputs = [np.float32([value]), np.float32([1])]
        return verdict_of(compare(outputs, outputs, Tolerance(atol=0.125)), outputs, outputs)

    result, _ = explored(check, judge)
    assert result.status == "noted"
    assert result.reason == "output 1 is the same for every input, which proves nothing of it"
    assert explored(check, judge, first=())[0].status == "passed"


def test_outputs_that_are_all_0_and_1_prove_nothing(check: Check) -> None:
    result, _ = explored(check, lambda value: good(value, telling=False))
    assert (result.status, result.fault, result.examples) == ("undecided", "saturated", 9)
    assert result.comparison is not None
    one, _ = explored(check, lambda value: good(value, telling=value == -2))
    assert one.status == "passed"
    free, _ = explored(check, lambda value: good(value, telling=False), first=())
    assert free.status == "passed"


def test_no_values_prove_nothing(check: Check) -> None:
    result, _ = explored(check, lambda value: good(value, values=0))
    assert (result.status, result.fault) == ("undecided", "too-few")


def test_what_is_noticed_is_counted(check: Check) -> None:
    result, _ = explored(check, lambda value: good(value, remark="hm" if value < 0 else ""))
    assert (result.status, result.reason) == ("noted", "2 of 9 inputs: hm")


def test_drawing_alone_is_repeatable() -> None:
    one, again, other = (draw(NUMBERS, 12, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert len(one) == len(set(one)) == 12


def test_what_proves_nothing_does_not_take_the_place_of_a_failure(check: Check) -> None:
    def judge(value: int) -> Verdict:
        if value >= 1000:
            return bad(value)
        return good(value) if value < 0 else 1 / 0  # type: ignore[return-value]

    # Whichever is met first: a drawn number is nearly always above 1000.
    result, _ = explored(check, judge, strategy=st.builds(Number, st.integers(1000, 9000)))
    assert (result.status, result.minimal) == ("failed", "Number(value=1000)")
    mixed = st.sampled_from([Number(0), Number(5000)])
    result, examiner = explored(check, judge, first=(Number(5000),), strategy=mixed)
    assert (0, False) in examiner.asked
    assert (result.status, result.fault, result.minimal) == (
        "failed",
        "differs",
        ("Number(value=5000)"),
    )


def test_nothing_is_shrunk_past_the_deadline(check: Check) -> None:
    def judge(value: int) -> Verdict:
        if value < 100:
            return good(value)
        check.runtime._ends = 0.0
        return bad(value)

    result, examiner = explored(check, judge)
    assert result.fault == "differs"
    assert examiner.asked[-1][0] >= 100
    assert sum(value >= 100 for value, _ in examiner.asked) == 1


def test_the_worst_comparison_counts_wherever_it_was_met(check: Check) -> None:
    result, _ = explored(check, lambda value: good(10**5 if value == -1 else 1), first=FIRST)
    assert result.comparison is not None
    assert result.comparison.max_abs == pytest.approx(10**5 / 2**20, rel=0.1)


def test_a_shape_that_depends_on_the_input_is_dependence(check: Check) -> None:
    def judge(value: int) -> Verdict:
        outputs = [np.ones(1 + value % 2, np.float32)]
        return verdict_of(compare(outputs, outputs, Tolerance()), outputs, outputs)

    assert explored(check, judge)[0].status == "passed"


def test_what_is_rounding_in_one_output_is_dependence_in_another(check: Check) -> None:
    def judge(value: int) -> Verdict:
        outputs = [np.float32([value / 2**14]), np.float32([value / 2**14])]
        bounds = Tolerance(atol=8.0, outputs=(8.0, 2**-20))
        return verdict_of(compare(outputs, outputs, bounds), outputs, outputs)

    result, _ = explored(check, judge)
    assert (result.status, result.fault) == ("noted", "")
    assert result.reason == "output 0 is the same for every input, which proves nothing of it"
