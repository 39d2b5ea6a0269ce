"""Pickles are read as data."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from runtime_check import RuntimeCheckError, read_artifact
from runtime_check.testing.archives import (
    with_records,
)


def test_a_pickle_in_the_file_never_runs(tensor_ptl: Any, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    attack = b"cpathlib\nPath.touch\n(cpathlib\nPath\n(V" + str(marker).encode() + b"\ntRtR."
    for record in ("bytecode.pkl", "constants.pkl"):
        path = with_records(tensor_ptl.path, tmp_path / "a.ptl", {record: attack})
        with suppress(RuntimeCheckError):
            read_artifact(path)
    assert not marker.exists()
