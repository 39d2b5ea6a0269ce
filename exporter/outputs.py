"""Run modules and look at their outputs as a flat list of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .errors import CaptureError


def flatten(value: Any) -> list[Tensor]:
    """Return the tensors in `value` (tensor, tuple, list or dict, nested), in order.

    The order is that of `runtime_check.runtimes.child`. Raises `CaptureError` on anything else.
    """
    if isinstance(value, Tensor):
        return [value.dequantize() if value.is_quantized else value]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in flatten(item)]
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in flatten(item)]
    raise CaptureError(
        f"forward returns a {type(value).__name__}; it has to return tensors (or tuples, lists or "
        "dicts of them) for an app to read."
    )


def run(module: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Run `module` without gradients and return its outputs, detached and contiguous.

    Outputs are copied: a module may hand out a view of its input or of a buffer.
    """
    with torch.no_grad():
        result = module(*inputs)
    return [
        tensor.detach().clone(memory_format=torch.contiguous_format) for tensor in flatten(result)
    ]


def stack(outputs: Sequence[Sequence[Tensor | np.ndarray]]) -> list[np.ndarray]:
    """Stack per-sample outputs so that one comparison ranks every sample as a row.

    Outputs of equal shape are stacked; others (several sizes, several batch sizes) are kept
    apart, one array each.
    """
    rows = [[np.asarray(value) for value in sample] for sample in outputs]
    if rows and all([r.shape for r in row] == [r.shape for r in rows[0]] for row in rows):
        return [np.stack(column) for column in zip(*rows, strict=True)]
    return [array for row in rows for array in row]
