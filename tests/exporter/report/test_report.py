"""What a report gathers, and that it can be read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from exporter.report.report import (
    GoldenView,
    Report,
    SizeRow,
    golden_view,
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


def test_golden_view_of_a_map_has_no_classes() -> None:
    view = golden_view("a", None, np.ones((1, 2, 3, 3)), np.ones((1, 2, 3, 3)), None)
    assert view == GoldenView(name="a", width=0, height=0, png="", max_abs=0.0, top=[])


def test_golden_view_has_the_top_five_of_both() -> None:
    scores = np.float32([0.1, 0.4, 0.2, 0.0, 0.3, 0.05])
    view = golden_view("a", np.zeros((4, 6, 3), np.uint8), scores, scores / 2, None)
    assert [bar.label for bar in view.top] == [f"class {i}" for i in (1, 4, 2, 0, 5)]
    assert view.top[0].actual == pytest.approx(0.2)
    assert (view.width, view.height) == (6, 4)
