"""What parity demands of an int8 file: what its own ledger states, less a slack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime_check.artifact.archive import read_artifact
from runtime_check.artifact.metadata import EAGER_STAGE, SAVED_STAGE, LedgerRow, Metadata
from runtime_check.properties.parity import LEAST_SQNR_DB, SQNR_SLACK_DB, _int8_demand
from runtime_check.testing.archives import with_metadata

from ..conftest import Made
from .checks import check, one


@pytest.fixture
def tensor_metadata(tensor_ptl: Made) -> Metadata:
    return read_artifact(tensor_ptl.path).metadata


def stating(metadata: Metadata, *rows: LedgerRow) -> Metadata:
    return metadata.model_copy(update={"ledger": list(rows)})


def test_the_last_stage_is_the_demand_and_eager_itself_never_is(tensor_metadata: Metadata) -> None:
    eager = LedgerRow(stage=EAGER_STAGE, sqnr_db=200.0, top1=1.0)
    saved = LedgerRow(stage=SAVED_STAGE, sqnr_db=30.0, top1=0.9)
    assert _int8_demand(stating(tensor_metadata, saved)).min_sqnr_db == 30.0 - SQNR_SLACK_DB
    alone = _int8_demand(stating(tensor_metadata, eager))
    assert (alone.min_sqnr_db, alone.min_agreement) == (LEAST_SQNR_DB, None)


def test_weights_that_are_not_the_files_own_are_no_reference(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    path = with_metadata(
        tensor_ptl.path,
        tmp_path / "a.ptl",
        lambda m: m["provenance"]["weights"].update(sha256="0" * 64),
    )
    report = check(path, tmp_path, "parity")
    assert one(report).status == "skipped"
    assert "other weights" in one(report).reason


def test_int8_is_held_to_its_own_ledger(int8_ptl: Any, tmp_path: Path) -> None:
    def claim(metadata: dict[str, Any]) -> None:
        metadata["ledger"].append({"stage": "saved + reloaded", "sqnr_db": 90.0, "top1": 1.0})

    path = with_metadata(int8_ptl.path, tmp_path / "a.ptl", claim)
    result = one(check(path, tmp_path, "parity"))
    assert result.status == "failed"
    assert "at least 84.0 dB demanded" in result.reason
    assert result.counterexample is not None
