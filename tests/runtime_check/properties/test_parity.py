"""What parity demands of an int8 file: what its own ledger states, less a slack."""

from __future__ import annotations

import pytest

from runtime_check.artifact.archive import read_artifact
from runtime_check.artifact.metadata import EAGER_STAGE, SAVED_STAGE, LedgerRow, Metadata
from runtime_check.properties.parity import SQNR_SLACK_DB, _int8_demand

from ..conftest import Made


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
    assert (alone.min_sqnr_db, alone.min_top1) == (0.0, None)
