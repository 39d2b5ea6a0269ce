"""The same input, the same bits; a batch, its rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .checks import check, one


def test_random_outputs_are_found(build_tensor_ptl: Callable[..., Any], tmp_path: Path) -> None:
    class Noisy(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3)) @ torch.ones(3, 10) + torch.rand(1, 10)

    made = build_tensor_ptl(tmp_path / "noisy.ptl", net=Noisy())
    result = one(check(made.path, tmp_path, "determinism"))
    assert result.status == "failed"
    assert "different bits" in result.reason


def test_a_batch_that_mixes_its_rows_is_found(
    build_tensor_ptl: Callable[..., Any], tmp_path: Path
) -> None:
    class Mixing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3)) @ torch.ones(3, 10) - x.mean()

    made = build_tensor_ptl(tmp_path / "mixing.ptl", net=Mixing())
    result = one(check(made.path, tmp_path, "batch"))
    assert result.status == "failed"
    assert "against its rows" in result.reason
