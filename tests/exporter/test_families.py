"""Ten awkward families through the whole exporter; the full sweep is a command."""

from __future__ import annotations

import json

import pytest

from ..benchmarks.families import AWKWARD, CHOSEN, in_own_process

CHOICES = json.loads(CHOSEN.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("module", AWKWARD)
def test_awkward_family(module: str) -> None:
    row = in_own_process(CHOICES[module])
    assert row["ok"], row.get("error")
    assert row["max_abs"] <= row["atol"]
    assert row["runtimes"]["pytorch-2.1.0"]
