from __future__ import annotations

import pytest

from runtime_check.errors import ParityError, RuntimeCheckError, UnreadableArtifact, did_you_mean


def test_exit_codes() -> None:
    assert (RuntimeCheckError("x").exit_code, UnreadableArtifact("x").exit_code) == (2, 2)
    assert ParityError("x").exit_code == 1


@pytest.mark.parametrize(
    ("name", "hint"),
    [("parrity", " Did you mean parity?"), ("zzz", ""), ("batsh", " Did you mean batch?")],
)
def test_did_you_mean(name: str, hint: str) -> None:
    assert did_you_mean(name, ["parity", "batch", "golden"]) == hint


def test_several_near_names_are_nearest_first() -> None:
    assert (
        did_you_mean("resnet1", ["resnet18", "resnet10t"]) == " Did you mean resnet18 or resnet10t?"
    )
