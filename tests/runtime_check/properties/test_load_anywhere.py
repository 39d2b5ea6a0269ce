"""What the loading process is set to changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from .checks import check, one


def test_the_processs_engine_and_threads_do_not_change_the_verdict(
    int8_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = one(check(int8_ptl.path, tmp_path, "golden"))
    engine, threads = torch.backends.quantized.engine, torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    try:
        torch.backends.quantized.engine = "fbgemm"
        torch.set_num_threads(3)
        found = one(check(int8_ptl.path, tmp_path, "golden"))
        assert torch.get_num_threads() == 3
    finally:
        torch.backends.quantized.engine = engine
        torch.set_num_threads(threads)
    assert found.comparison == expected.comparison
