from __future__ import annotations

import json

import pytest
from rich.console import Console

from runtime_check.fuzz.fuzz import Finding, FuzzResult, Outcome
from runtime_check.fuzz.mutate import Mutation
from runtime_check.fuzz.show import print_fuzz, to_json


def result(outcome: Outcome, findings: int = 1) -> FuzzResult:
    return FuzzResult(
        file="[a]model.ptl",
        mutations=findings + 3,
        seed=7,
        seconds=1.25,
        outcomes={"truncate": {"refused": 3}, "flip bits": {outcome: findings}},
        restarts=2,
        findings=tuple(
            Finding(mutation=Mutation("flip bits", seed), outcome=outcome, message="it [did] so")
            for seed in range(findings)
        ),
        samples=(),
    )


def shown(fuzzed: FuzzResult, capsys: pytest.CaptureFixture[str]) -> str:
    print_fuzz(fuzzed, Console(width=80))
    return " ".join(capsys.readouterr().out.split())


def test_a_crash_of_torch_is_a_finding_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(result("crashed"), capsys)
    assert "damage refused crashed truncate 3 flip bits 1" in text
    assert "4 damaged copies of [a]model.ptl in 1 s, seed 7" in text
    assert "started again 2 times" in text
    assert "crashed flip bits, seed 0: it [did] so" in text
    assert text.endswith("Every copy got a verdict.")


@pytest.mark.parametrize("outcome", ["undetected", "error"])
def test_what_was_not_told_apart_is_said_last(
    outcome: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(result(outcome), capsys).endswith("Some copies got no verdict, or a wrong one.")


def test_many_findings_are_cut_short_and_all_in_the_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    many = result("hung", findings=20)
    assert "... and 8 more (--json lists them)." in shown(many, capsys)
    data = json.loads(to_json(many))
    assert data["passed"] is True
    assert len(data["findings"]) == 20
    assert data["findings"][3] == {
        "kind": "flip bits", "seed": 3, "outcome": "hung", "message": "it [did] so",
    }  # fmt: skip
    assert data["outcomes"]["truncate"] == {"refused": 3}
    assert json.loads(to_json(result("error")))["passed"] is False
