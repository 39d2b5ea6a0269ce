"""What a report gathers, and that it can be read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from exporter.report.report import (
    Report,
    SizeRow,
    histogram,
    layer_sizes,
    part_sizes,
    write_json,
)

from .reports import CASES


@pytest.mark.parametrize("case", CASES)
def test_a_report_can_be_read_again(tmp_path: Path, case: str) -> None:
    report = CASES[case]()
    write_json(report, tmp_path / "x.report.json")
    text = (tmp_path / "x.report.json").read_text(encoding="utf-8")
    assert Report.model_validate_json(text) == report


def test_layers_are_added_up_by_type() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.BatchNorm1d(2))
    linear, norm = layer_sizes(module)
    assert linear == SizeRow(kind="Linear", count=2, bytes=4 * (4 * 8 + 8 + 8 * 2 + 2))
    assert (norm.kind, norm.count) == ("BatchNorm1d", 1)


def test_parts_add_up_to_the_file() -> None:
    records = [
        ("constants/0", 900),
        ("code/x.py", 20),
        ("bytecode.pkl", 30),
        ("extra/metadata.json", 10),
        ("extra/golden.json", 15),
    ]
    parts = part_sizes(records, 1000)
    assert sum(part.bytes for part in parts) == 1000
    assert parts[0] == SizeRow(kind="weights", count=1, bytes=900)
    assert parts[-1] == SizeRow(kind="zip and alignment", count=1, bytes=25)


def test_differences_are_counted_by_powers_of_ten() -> None:
    counted = histogram([np.zeros(5)], [np.array([0, 2e-6, 3e-6, 5e-4, np.inf])])
    assert counted.zeros == 1
    assert dict(zip(counted.edges, counted.counts, strict=False)) == pytest.approx(
        {1e-6: 2, 1e-5: 0, 1e-4: 1}
    )
