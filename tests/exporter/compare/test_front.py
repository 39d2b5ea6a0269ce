"""Fronts, budgets and the pick, on rows written by hand."""

from __future__ import annotations

from exporter.compare.front import front, pick, with_budget, with_fronts, worth_of
from exporter.compare.plan import Limits

from .trials import failure, row

# A tiny one, a good one, one that the good one beats, and the best and dearest.
TINY = row("tiny", mb=1.0, ms=2.0, agreement=0.50)
GOOD = row("good", mb=5.0, ms=9.0, agreement=0.90)
WORSE = row("worse", mb=6.0, ms=4.0, agreement=0.80)
BEST = row("best", mb=20.0, ms=30.0, agreement=1.00)
ROWS = [TINY, GOOD, WORSE, BEST]


def test_the_front() -> None:
    #  cost, worth
    points = [(1.0, 0.5), (5.0, 0.9), (6.0, 0.8), (20.0, 1.0), (5.0, 0.9), (5.0, 0.7)]
    assert front(points) == {0, 1, 3, 4}
    assert front([]) == set()


def test_fronts_differ_by_cost_and_blank_figures_are_on_none() -> None:
    found = with_fronts([*ROWS, failure("gone", "it broke")], "agreement")
    assert [r.fronts for r in found] == [["mb", "ms"], ["mb", "ms"], ["ms"], ["mb", "ms"], []]


def test_worth_is_accuracy_only_where_every_file_has_it() -> None:
    assert worth_of([row("a", accuracy=0.7), row("b", accuracy=0.8)]) == "accuracy"
    assert worth_of([row("a", accuracy=0.7), row("b")]) == "agreement"
    assert worth_of([row("a", agreement=None)]) == "sqnr_db"
    assert worth_of([failure("a", "it broke"), row("b", accuracy=0.8)]) == "accuracy"


def test_the_best_within_the_budget_is_picked() -> None:
    best, why = pick(ROWS, Limits(mb=6.0), "agreement")
    assert best is GOOD
    assert why == (
        "good.ptl has the highest agreement with float32: 3 of 4 files are within mb <= 6."
    )
    assert pick(ROWS, Limits(mb=6.0, ms=5.0), "agreement")[0] is WORSE
    assert pick(ROWS, Limits(), "agreement")[0] is BEST
    assert [r.within for r in with_budget(ROWS, Limits(mb=6.0))] == [True, True, True, False]
    assert [r.within for r in with_budget(ROWS, Limits())] == [None] * 4


def test_of_equals_the_fastest_is_picked() -> None:
    slow, fast = row("slow", ms=9.0, mb=1.0), row("fast", ms=8.0, mb=2.0)
    assert pick([slow, fast], Limits(), "agreement")[0] is fast


def test_a_file_that_is_the_same_as_float32_has_the_highest_sqnr() -> None:
    same = row("same", sqnr_db=None, max_abs=0.0)
    assert pick([row("near", sqnr_db=120.0), same], Limits(), "sqnr_db")[0] is same


def test_where_none_fits_the_closest_is_said() -> None:
    best, why = pick(ROWS, Limits(mb=0.5, ms=4.0), "agreement")
    assert best is None
    assert why == (
        "No file is within mb <= 0.5, ms <= 4. tiny.ptl comes closest, at 2.00 times its tightest "
        "limit: 1 MB (limit 0.5), 2 ms."
    )


def test_a_limit_on_what_nobody_measured_lets_nothing_through() -> None:
    best, why = pick(ROWS, Limits(minstr=1e6), "agreement")
    assert best is None
    assert "was not measured of any file" in why


def test_instructions_are_limited_in_millions() -> None:
    one = row("one", instructions=390_000_000)
    assert pick([one], Limits(minstr=400), "agreement")[0] is one
    assert pick([one], Limits(minstr=380), "agreement")[0] is None


def test_nothing_exported_is_nothing_to_pick() -> None:
    best, why = pick([failure("a", "it broke")], Limits(), "agreement")
    assert best is None
    assert why.startswith("Nothing was exported")
