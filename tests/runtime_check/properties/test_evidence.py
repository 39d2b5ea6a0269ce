"""A result is made of evidence: what counts as some, and what each kind of fault makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runtime_check.comparison import Tolerance, compare
from runtime_check.errors import RuntimeCheckError
from runtime_check.properties.base import (
    Check,
    PropertyResult,
    ReferenceRaised,
    Trial,
    Verdict,
    judge,
    skipped,
    verdict_of,
    within,
    worse,
)
from runtime_check.runtimes.run import ChildDied, ForwardError, OutOfTime, Run

ONES = np.ones((1, 3), np.float32)
SAME = compare(ONES, ONES, Tolerance(atol=0.5))
NEAR = compare(ONES, ONES + np.float32(0.25), Tolerance(atol=0.5))
OFF = compare(ONES, ONES + 2, Tolerance(atol=0.5))
NO_NUMBER = compare(ONES * np.nan, ONES * np.nan, Tolerance())


def trial(*, died: int = 0) -> Trial:
    """A trial whose process has died so many times since it began."""
    check: Any = SimpleNamespace(runtime=SimpleNamespace(deaths=3 + died))
    return Trial(check=check, name="parity", started=0.0, deaths=3)


@pytest.mark.parametrize(
    ("inputs", "needed", "values", "enough"),
    [
        (1, 1, 1, True),
        (1, 0, 1, True),
        (2, 2, 1, True),
        (3, 2, 9, True),
        (0, 0, 1, False),
        (1, 2, 9, False),
        (2, 2, 0, False),
        (0, 1, 0, False),
    ],
)
def test_a_property_passes_with_enough_inputs_and_a_value(
    inputs: int, needed: int, values: int, enough: bool
) -> None:
    result = trial().passed(inputs=inputs, needed=needed, values=values, comparison=NEAR)
    assert bool(result) == enough
    assert result.examples == inputs
    if enough:
        assert (result.status, result.fault, result.reason) == ("passed", "", str(NEAR))
        assert result.comparison is NEAR
    else:
        assert (result.status, result.fault) == ("undecided", "too-few")
        wanted = {0: 1}.get(needed, needed)
        words = f"{inputs} inputs with {values} values were compared, {wanted} were to be"
        assert result.reason == words


def test_what_is_noted_is_no_failure() -> None:
    result = trial().passed(inputs=1, needed=1, values=1, reason="by the way", noted=True)
    assert result
    assert (result.status, result.reason) == ("noted", "by the way")
    plain = trial().passed(inputs=1, needed=1, values=1)
    assert (plain.status, plain.reason) == ("passed", "held for every input")


@pytest.mark.parametrize("died", [-1, 1])
def test_a_process_that_was_started_again_has_proven_nothing(died: int) -> None:
    result = trial(died=died).passed(inputs=9, needed=1, values=9, comparison=SAME)
    assert not result
    assert (result.status, result.fault) == ("undecided", "restarted")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("differs", "failed"),
        ("raised", "failed"),
        ("crashed", "failed"),
        ("hung", "failed"),
        ("memory", "failed"),
        ("nonsense", "failed"),
        ("misstated", "failed"),
        ("reference", "undecided"),
        ("too-few", "undecided"),
        ("restarted", "undecided"),
        ("constant", "undecided"),
        ("saturated", "undecided"),
        ("no-reference", "undecided"),
        ("unsteady", "undecided"),
        ("late", "undecided"),
        ("bug", "undecided"),
    ],
)
def test_a_fault_is_the_files_or_proves_nothing(fault: Any, status: str) -> None:
    result = trial().broken(
        fault, "why", examples=4, comparison=OFF, minimal="zeros", counterexample=Path("a.npz")
    )
    assert not result
    assert (result.name, result.status, result.fault) == ("parity", status, fault)
    assert (result.reason, result.examples, result.comparison) == ("why", 4, OFF)
    assert (result.minimal, result.counterexample) == ("zeros", Path("a.npz"))
    bare = trial().broken(fault, "why")
    assert (bare.examples, bare.comparison, bare.minimal, bare.counterexample) == (
        0,
        None,
        "",
        None,
    )


def test_a_property_that_does_not_apply_is_neither_good_nor_bad() -> None:
    result = skipped("batch", "one image at a time")
    assert result == PropertyResult(
        name="batch",
        status="skipped",
        reason="one image at a time",
        fault="",
        examples=0,
        seconds=0.0,
        comparison=None,
        minimal="",
        counterexample=None,
    )
    assert result
    assert "comparison" not in repr(result)  # which may hold thousands of figures


def test_a_verdict_holds_what_was_compared() -> None:
    good = verdict_of(NEAR, [ONES], [ONES + 1], problem="rows: {}", telling=False)
    assert good
    assert (good.problem, good.fault, good.values, good.telling) == ("", "", 3, False)
    assert good.comparison is NEAR
    assert [array[0, 0] for array in (*good.expected, *good.actual)] == [1.0, 2.0]
    bad = verdict_of(OFF, [ONES], [ONES], problem="rows: {}")
    assert not bad
    assert (bad.problem, bad.fault, bad.telling) == (f"rows: {OFF}", "differs", True)
    assert verdict_of(OFF, [], []).problem == str(OFF)
    slim = good.slim()
    assert (slim.expected, slim.actual, slim.values, slim.telling) == ((), (), 3, False)


def test_a_verdict_about_nothing_is_told_apart() -> None:
    nothing = Verdict()
    assert (nothing.problem, nothing.fault, nothing.remark) == ("", "", "")
    assert (nothing.values, nothing.telling) == (0, True)
    assert (nothing.comparison, nothing.expected, nothing.actual) == (None, (), ())


def test_the_worse_of_two_comparisons_is_kept() -> None:
    assert worse(None, None) is None
    assert worse(NEAR, None) is NEAR
    assert worse(None, NEAR) is NEAR
    assert worse(SAME, NEAR) is NEAR
    assert worse(NEAR, SAME) is NEAR
    again = compare(ONES, ONES + np.float32(0.25), Tolerance(atol=9))
    assert worse(NEAR, again) is NEAR  # the first of equals
    assert NO_NUMBER.max_abs is None
    assert worse(NO_NUMBER, NEAR) is NEAR
    assert worse(NEAR, NO_NUMBER) is NEAR
    assert worse(SAME, NO_NUMBER) is SAME
    assert worse(NO_NUMBER, SAME) is NO_NUMBER
    assert within(NEAR) == str(NEAR)
    assert within(None) == "held for every input"


@pytest.mark.parametrize(
    ("error", "fault", "words"),
    [
        (ForwardError("it raised"), "raised", "it raised"),
        (ChildDied("gone", cause="crashed"), "crashed", "gone"),
        (ChildDied("gone", cause="hung"), "hung", "gone"),
        (ChildDied("gone", cause="memory"), "memory", "gone"),
        (ChildDied("gone", cause="nonsense"), "nonsense", "gone"),
        (OutOfTime("slow"), "late", "slow"),
        (ReferenceRaised("Python raised"), "reference", "Python raised"),
        (RuntimeCheckError("it does not load again"), "crashed", "it does not load again"),
        (ZeroDivisionError("ours"), "bug", "ours"),
        (KeyError(), "bug", "KeyError"),
    ],
)
def test_whatever_an_examiner_raises_is_a_bad_verdict(
    error: Exception, fault: str, words: str
) -> None:
    def examine(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
        raise error

    verdict = judge(SimpleNamespace(), examine, [], natural=True)  # type: ignore[arg-type]
    assert not verdict
    assert (verdict.fault, verdict.problem, verdict.values) == (fault, words, 0)


def test_an_examiner_is_told_what_it_is_given() -> None:
    seen: list[Any] = []

    def examine(*given: Any) -> Verdict:
        seen.append(given)
        return Verdict(values=7)

    check: Any = SimpleNamespace()
    assert judge(check, examine, [ONES], natural=True).values == 7
    assert judge(check, examine, [], natural=False).values == 7
    assert seen == [(check, [ONES], True), (check, [], False)]


def test_a_check_asks_for_what_its_defaults_say() -> None:
    asked: list[int] = []

    class Counting:
        deaths = 0

        def forward(self, inputs: Any, *, threads: int = 7, repeats: int = 1) -> Run:
            asked.append(threads)
            return Run(outputs=list(inputs), seconds=(0.0,))

    unused: Any = None
    check = Check(
        artifact=unused,
        runtime=Counting(),  # type: ignore[arg-type]
        reference=None,
        allowance=unused,
        file=Path("a.ptl"),
    )
    assert check.run([ONES])[0] is ONES
    assert check.run([ONES], threads=2)[0] is ONES
    assert asked == [1, 2]
    assert (check.examples, check.seed, check.max_pixels) == (20, 0, 400_000)
    assert (check.folder, check.no_reference, check.sha256) == (Path("counterexamples"), "", "")
    assert not check.demands
    assert ReferenceRaised.exit_code == 3  # no verdict
