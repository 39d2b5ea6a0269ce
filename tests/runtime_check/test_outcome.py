"""What a report makes of its results: the verdict, the exit code and how sure it is."""

from __future__ import annotations

from typing import Any

import pytest

from runtime_check.checking import CONFIDENCE, EXIT_CODES, Report, _selected
from runtime_check.options import CheckOptions
from runtime_check.properties.base import PropertyResult, Status


def report(**statuses: Status) -> Report:
    """A report of properties with these results; parity drew 14 inputs."""
    results = [
        PropertyResult(name=name.replace("_", "-"), status=status, reason="by hand", examples=14)
        for name, status in statuses.items()
    ]
    made: Any = None  # none of this is asked for the file
    return Report(
        artifact=made, sha256="", runtime="host", runtime_detail="", reference="",
        has_reference=True, tolerance="", seed=0, examples=14, seconds=0.0,
        results=tuple(results),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "outcome", "code"),
    [
        ({"golden": "passed", "parity": "passed"}, "proven", 0),
        ({"parity": "noted"}, "proven", 0),
        ({"golden": "passed", "parity": "skipped"}, "replayed", 0),
        ({"golden": "noted"}, "replayed", 0),
        ({"determinism": "passed"}, "held", 0),
        ({"golden": "passed", "parity": "failed"}, "failed", 1),
        ({"parity": "passed", "golden": "failed"}, "failed", 1),
        ({"parity": "undecided", "golden": "failed"}, "failed", 1),
        ({"golden": "passed", "parity": "undecided"}, "undecided", 3),
        ({"parity": "passed", "golden": "undecided"}, "undecided", 3),
        ({"parity": "skipped", "golden": "skipped"}, "undecided", 3),
        ({}, "undecided", 3),
    ],
)
def test_the_verdict_is_the_worst_of_the_results_and_nothing_holds_without_evidence(
    statuses: dict[str, Status], outcome: str, code: int
) -> None:
    made = report(**statuses)
    assert made.outcome == outcome
    assert EXIT_CODES[made.outcome] == code
    assert bool(made) is (code == 0)


def test_how_sure_it_is_follows_from_the_inputs_that_parity_compared() -> None:
    assert CONFIDENCE == 0.95
    made = report(parity="passed", golden="passed", determinism="passed")
    assert made.compared == 14
    # (1 - p)^14 = 0.05: one fault in 5.2 inputs.
    assert made.would_show == pytest.approx(0.19264, abs=1e-5)
    for unproven in (report(golden="passed"), report(parity="failed"), report(parity="undecided")):
        assert (unproven.compared, unproven.would_show) == (0, None)


def test_instructions_are_none_unless_they_were_counted() -> None:
    made = report(parity="passed")
    assert (made.instructions, made.instructions_note) == (None, "")


def test_what_is_asked_for_is_checked_cheap_and_telling_first() -> None:
    every = [
        "golden", "metadata", "parity", "preprocessing", "determinism", "batch", "nonfinite",
        "load-anywhere",
    ]  # fmt: skip
    assert _selected(CheckOptions()) == every
    assert _selected(CheckOptions(properties=("parity", "golden"))) == ["golden", "parity"]
