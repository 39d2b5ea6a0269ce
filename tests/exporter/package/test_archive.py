"""The bytes of the file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

import exporter

SHAPE = (1, 3, 32, 32)


def test_operator_version_survives(tmp_path: Path) -> None:
    """Without the version record the loader runs upgraders and calls gelu with one argument."""

    class Gelu(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.gelu(x, approximate="tanh")

    artifact = exporter.export(Gelu(), out=tmp_path, input_shape=(1, 8))
    x = torch.randn(1, 8)
    assert torch.allclose(artifact(x), nn.functional.gelu(x, approximate="tanh"))
