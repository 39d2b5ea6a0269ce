"""Outputs as a module might give them, for tests of what they are taken for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from exporter.meaning.outputs import Seen


def seen(*outputs: Tensor, **changes: Any) -> Seen:
    """Two samples of the same outputs, and a batch that grows along the first axis of one."""
    fields: dict[str, Any] = {
        "name": "net",
        "names": tuple(f"output_{i}" for i in range(len(outputs))),
        "samples": (outputs, outputs),
        "batch": tuple(0 if t.dim() and t.shape[0] == 1 else None for t in outputs),
        "classes": 0,
        "is_headless": False,
        "labels": None,
        "size": (24, 32),
    }
    return Seen(**fields | changes)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
