"""Run modules and look at their outputs as a flat list of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from runtime_check.outputs import flatten

from .errors import CaptureError


def run(module: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Run `module` without gradients and return its outputs, detached and contiguous.

    Outputs are copied: a module may hand out a view of its input or of a buffer. Raises
    `CaptureError` when they are not tensors.
    """
    outputs = _outputs(module, inputs)
    return [tensor.detach().clone(memory_format=torch.contiguous_format) for tensor in outputs]


def run_once(module: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Run as `run`, without copies: what comes out may be another thing once `module` runs again.

    For outputs that are compared and forgotten; a copy of large ones costs as much as a small
    network.
    """
    return [tensor.detach().contiguous() for tensor in _outputs(module, inputs)]


def _outputs(module: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    # Called as a graph, a module prints what it raises on stderr, whoever catches it.
    forward = module.forward if isinstance(module, fx.GraphModule) else module
    with torch.no_grad():
        result = forward(*inputs)
    return tensors_in(result)


def tensors_in(result: object) -> list[Tensor]:
    """Return what `forward` gave as a flat list; raise `CaptureError` for other than tensors."""
    try:
        return flatten(result)
    except TypeError as error:
        raise CaptureError(f"{error} for an app to read.") from error


# Where a tensor is in what `forward` returns: keys and indices, from the outside in.
Path = tuple[str | int, ...]


def paths(value: Any) -> list[Path]:
    """Return where each tensor of `value` is, in the order of `flatten`."""
    return [*_paths(value, ())]


def _paths(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, Mapping):
        parts: list[tuple[Any, Any]] = [*value.items()]
    elif isinstance(value, (tuple, list)):
        parts = [*enumerate(value)]
    elif is_dataclass(value) and not isinstance(value, type):
        parts = [(field.name, getattr(value, field.name)) for field in fields(value)]
    else:
        if isinstance(value, Tensor):
            yield path
        return
    for key, item in parts:
        yield from _paths(item, (*path, key))


# Bytes of an output above which it is not copied to stand beside those of other samples.
_LARGE = 2**20


def stack(
    outputs: Sequence[Sequence[Tensor | np.ndarray]], *, varying: bool = False
) -> list[np.ndarray]:
    """Stack per-sample outputs so that one comparison ranks every sample as a row.

    Outputs of equal shape are stacked; others (several sizes, several batch sizes) are kept
    apart, one array each, and so are `varying` ones, which have another shape on another side, and
    large ones, which are no rows of classes, and whose copy would cost more than comparing.
    """
    rows = [[np.asarray(value) for value in sample] for sample in outputs]
    if (
        rows
        and not varying
        and max((value.nbytes for value in rows[0]), default=0) <= _LARGE
        and all([r.shape for r in row] == [r.shape for r in rows[0]] for row in rows)
    ):
        return [np.stack(column) for column in zip(*rows, strict=True)]
    return [array for row in rows for array in row]


class Flat(nn.Module):
    """A network that returns a flat tuple of tensors, or the tensor that is the only one.

    For a trace, which takes neither None among outputs nor containers of several kinds.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Run the network."""
        tensors = flatten(self.network(*inputs))
        return tensors[0] if len(tensors) == 1 else tuple(tensors)
