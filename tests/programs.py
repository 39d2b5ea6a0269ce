"""Small ExecuTorch programs, lowered in a few lines without the exporter."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn


class Small(nn.Module):
    """One layer for XNNPACK, and a second output."""

    weight: ClassVar[Tensor] = torch.arange(12.0).reshape(3, 4) / 7 - 0.8

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.relu(nn.functional.linear(x, self.weight)), x + 1


def small_program() -> bytes:
    """Lower `Small` for an input `[2, 4]`."""
    executorch = pytest.importorskip(
        "executorch", reason="ExecuTorch is an extra: pip install '.[executorch]'"
    )
    # Folders of this name in the tests are part of that namespace, too.
    flatc = (Path(folder) / "data" / "bin" / "flatc" for folder in executorch.__path__)
    os.environ.setdefault("FLATC_EXECUTABLE", str(next(p for p in flatc if p.is_file())))
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.export(Small(), (torch.zeros(2, 4),))
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    return bytes(lowered.to_executorch().buffer)
