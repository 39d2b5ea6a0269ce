"""Run modules and look at their outputs as a flat list of tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from runtime_check.outputs import flatten

from .errors import CaptureError


def run(module: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Run `module` without gradients and return its outputs, detached and contiguous.

    Outputs are copied: a module may hand out a view of its input or of a buffer. Raises
    `CaptureError` when they are not tensors.
    """
    with torch.no_grad():
        result = module(*inputs)
    tensors = tensors_in(result)
    return [tensor.detach().clone(memory_format=torch.contiguous_format) for tensor in tensors]


def tensors_in(result: object) -> list[Tensor]:
    """Return what `forward` gave as a flat list; raise `CaptureError` for other than tensors."""
    try:
        return flatten(result)
    except TypeError as error:
        raise CaptureError(f"{error} for an app to read.") from error


def stack(outputs: Sequence[Sequence[Tensor | np.ndarray]]) -> list[np.ndarray]:
    """Stack per-sample outputs so that one comparison ranks every sample as a row.

    Outputs of equal shape are stacked; others (several sizes, several batch sizes) are kept
    apart, one array each.
    """
    rows = [[np.asarray(value) for value in sample] for sample in outputs]
    if rows and all([r.shape for r in row] == [r.shape for r in rows[0]] for row in rows):
        return [np.stack(column) for column in zip(*rows, strict=True)]
    return [array for row in rows for array in row]


class Present(nn.Module):
    """A network without those of its outputs that are None, which a trace and an app cannot take.

    `forward` returns a flat tuple of tensors, or the tensor that is the only one.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Run the network on its one input."""
        tensors = flatten(self.network(x))
        return tensors[0] if len(tensors) == 1 else tuple(tensors)
