"""Decompose RMSNorm into operators that PyTorch 2.1 has."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .layers import Edit
from .watch import Example, calls_of


class PlainRmsNorm(nn.Module):
    """Root-mean-square norm over the last `dims` dimensions, from operators that 2.1.0 has."""

    def __init__(self, weight: Tensor | None, dims: int, eps: float) -> None:
        super().__init__()
        parameter = None if weight is None else nn.Parameter(weight.detach(), requires_grad=False)
        self.weight = parameter
        self.over = [-1 - i for i in range(dims)]
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalize `x`."""
        y = x * torch.rsqrt((x * x).mean(self.over, True) + self.eps)
        return y if self.weight is None else y * self.weight


class _RmsCalls(TorchFunctionMode):
    """Record the calls of `rms_norm`, which dispatch would show as its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[tuple[Any, ...], Any]] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.rms_norm, nn.functional.rms_norm):
            rest = [(kwargs or {}).get(name) for name in ("weight", "eps")[max(0, len(args) - 2) :]]
            self.calls.append(((*args, *rest), result))
        return result


def plain_rms_norms(module: nn.Module, example: Example) -> list[Edit]:
    """Replace modules that are one `rms_norm` by its definition.

    PyTorch 2.1 has no such operator: a file with it does not load there.
    """
    norms = {
        name: child
        for name, child in module.named_modules()
        if name and not list(child.children()) and "norm" in type(child).__name__.lower()
    }
    calls_by_name = calls_of(module, norms, example)
    edits = []
    for name, calls in calls_by_name.items():
        with torch.no_grad(), _RmsCalls() as recorded:
            norms[name](calls[0][0])
        if len(recorded.calls) != 1:
            continue
        (source, shape, weight, eps), result = recorded.calls[0]
        if source is not calls[0][0] or result.shape != calls[0][1].shape:
            continue
        eps = torch.finfo(source.dtype).eps if eps is None else float(eps)
        edits.append(Edit(name, PlainRmsNorm(weight, len(shape), eps).eval()))
    return edits
