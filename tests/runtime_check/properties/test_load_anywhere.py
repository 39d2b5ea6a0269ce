"""What the loading process is set to changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from runtime_check.properties.load_anywhere import load_anywhere
from runtime_check.runtimes.lite import write_lite

from .checks import check, one
from .fakes import a_check


class Endless(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while bool(x.sum() > -1e30):
            x = x * 1.0
        return x


class Hungry(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(50_000_000).sum() + x.mean([2, 3])


def test_its_processes_have_the_limits_of_the_check(tensor_ptl: Any, tmp_path: Path) -> None:
    endless, hungry = tmp_path / "endless.ptl", tmp_path / "hungry.ptl"
    write_lite(torch.jit.script(Endless()), endless)
    write_lite(torch.jit.script(Hungry()), hungry)
    with a_check(tensor_ptl.path, tmp_path, file=endless, timeout=8.0) as limited:
        result = load_anywhere(limited)
    assert result.fault == "hung"
    assert "still running after 8 s" in result.reason
    assert result.seconds < 30
    with a_check(tensor_ptl.path, tmp_path, file=hungry, memory=100 * 2**20) as limited:
        result = load_anywhere(limited)
    assert result.fault == "raised"
    assert "more memory than it may have (200000000 bytes at once)" in result.reason


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
