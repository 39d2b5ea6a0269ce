from __future__ import annotations

from pathlib import Path

import pytest
import torch

from exporter.errors import TrainingDataError
from exporter.quantize.checkpoint import read, write


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "qat.pt"
    write({"fingerprint": "a", "weights": torch.arange(3), "epoch": 2}, path)
    state = read(path, "a")
    assert state["weights"].tolist() == [0, 1, 2]
    assert state["epoch"] == 2
    assert [p.name for p in tmp_path.iterdir()] == ["qat.pt"]


def test_that_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "qat.pt"
    write({"fingerprint": "a"}, path)
    with pytest.raises(TrainingDataError, match="belongs to another model"):
        read(path, "b")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(TrainingDataError, match="cannot be read"):
        read(path, "a")
