"""Damaged copies all get a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_check import CheckOptions, RuntimeCheckError, check, read_artifact
from runtime_check.fuzz import fuzz
from runtime_check.fuzz.fuzz import fuzz_file
from runtime_check.runtimes.run import ChildDied
from runtime_check.testing.archives import (
    records_of,
    with_golden,
    with_records,
)


def refused(path: Path) -> str:
    with pytest.raises(RuntimeCheckError) as caught:
        read_artifact(path)
    message = str(caught.value)
    assert path.name in message
    assert len(message) < 600
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize("seed", [61])
def test_thousands_of_damaged_copies_all_get_a_verdict(image_ptl: Any, seed: int) -> None:
    result = fuzz_file(image_ptl.path, mutations=1350, seed=seed, timeout=30)
    assert result, result.findings
    counts = {kind: sum(found.values()) for kind, found in result.outcomes.items()}
    assert set(counts.values()) == {150}
    assert result.outcomes["truncate"] == {"refused": 150}
    # Blind damage is caught by the archive's own checksums; nothing slips through to be run.
    assert set(result.outcomes["flip bits"]) <= {"refused", "same"}
    assert all(len(f.message) < 700 and "Traceback" not in f.message for f in result.samples)


def test_damaged_programs_all_get_a_verdict_too(tensor_pte: Path) -> None:
    """The thousands are `python -m runtime_check fuzz FILE.pte`."""
    result = fuzz_file(tensor_pte, mutations=165, seed=7, timeout=30)
    assert result, result.findings
    counts = {kind: sum(found.values()) for kind, found in result.outcomes.items()}
    assert set(counts.values()) == {15}
    assert result.outcomes["truncate"] == {"refused": 15}
    assert result.outcomes["flip bits"] == {"refused": 15}
    # Here only the native loader can tell, and where it does not, the golden vectors.
    edited = result.outcomes["edit the program"]
    assert edited.get("refused", 0) + edited.get("detected", 0) > 0
    assert all(len(f.message) < 700 and "Traceback" not in f.message for f in result.samples)


def test_expected_values_that_cannot_be_read_are_refused(
    tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_base64(golden: dict[str, Any]) -> None:
        golden["cases"][0]["expected"][0]["data"] = "a"

    damaged = with_golden(tensor_ptl.path, tmp_path / "damaged.ptl", no_base64).read_bytes()
    monkeypatch.setattr(fuzz, "mutate", lambda data, mutation: damaged)
    result = fuzz_file(tensor_ptl.path, mutations=1)
    assert result.outcomes["flip bits"] == {"refused": 1}, result.findings
    assert "not base64" in result.samples[0].message


def test_what_was_signed_is_damaged(signed_ptl: Any) -> None:
    result = fuzz_file(signed_ptl.path, mutations=9, verify_key=signed_ptl.key, timeout=30)
    assert result, result.findings
    assert result.file == "signed.ptl"


def test_a_crash_of_the_loader_is_a_finding(image_ptl: Any, tmp_path: Path) -> None:
    result = fuzz_file(image_ptl.path, mutations=90, seed=1, timeout=30, keep=tmp_path / "kept")
    crashes = [f for f in result.findings if f.outcome == "crashed"]
    assert len(crashes) == result.restarts
    assert all("stayed in a child process" in f.message for f in crashes)
    assert len(list((tmp_path / "kept").glob("*.ptl")) if crashes else []) == len(crashes)


def test_what_loads_but_computes_otherwise_is_detected(tensor_ptl: Any, tmp_path: Path) -> None:
    name, weights = max(
        ((n, d) for n, d in records_of(tensor_ptl.path).items() if n.endswith(".storage")),
        key=lambda pair: len(pair[1]),
    )
    other = (np.frombuffer(weights, np.float32) * np.float32(1.5)).tobytes()
    path = with_records(tensor_ptl.path, tmp_path / "other.ptl", {name: other})
    report = check(path, CheckOptions(properties=("golden",), counterexamples=tmp_path))
    assert not report
    assert "golden vector" in report.results[0].reason


@pytest.mark.parametrize(
    ("died", "outcome"),
    [
        (ChildDied("nobody is still here", cause="crashed"), "crashed"),
        (ChildDied("it took too long", cause="hung"), "hung"),
    ],
)
def test_hanging_and_crashing_are_told_apart_by_value_not_by_wording(
    died: ChildDied, outcome: str, tensor_ptl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = read_artifact(tensor_ptl.path)

    class Loader:
        memory = 2**30
        lost_sessions = 0

        def get(self) -> Any:
            raise died

        def lost(self) -> None:
            self.lost_sessions += 1

    loader = Loader()
    assert fuzz._judge(tensor_ptl.path, clean, [], loader)[0] == outcome  # type: ignore[arg-type]
    assert loader.lost_sessions == 1
