"""The table every report is built around."""

from __future__ import annotations

import json
from pathlib import Path

from own_models import (
    ConvNormNet,
)

import exporter

SHAPE = (1, 3, 32, 32)


def test_ledger_in_the_file_has_no_times_and_the_report_has(tmp_path: Path) -> None:
    artifact = exporter.export(ConvNormNet(), out=tmp_path, input_shape=SHAPE)
    stages = ["eager fp32", "prepared", "captured", "optimized", "saved + reloaded"]
    assert [row.stage for row in artifact.metadata.ledger] == stages
    assert all(row.ms is None for row in artifact.metadata.ledger)
    assert all(row.ms for row in artifact.report.ledger)
    report = json.loads((tmp_path / "ConvNormNet.report.json").read_text())
    assert [row["stage"] for row in report["ledger"]] == stages
