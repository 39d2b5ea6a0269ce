"""Change the last bits of what is computed in float, as another implementation of it would.

In an int8 network between float layers, a value near the middle of two codes goes to the other one
when LayerNorm or softmax rounds otherwise, and what follows spreads it. How far that moves the
outputs is the network's own doing, and can be measured with one implementation alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

# An operator rounds by itself where its name has one of these: sums of products, and what is no
# single operation of IEEE 754. Sums, products and conversions of two numbers are exact everywhere.
_ROUNDED = (
    "attention", "avg_pool", "bicubic", "bilinear", "bmm", "conv", "erf", "exp", "gelu", "linear",
    "log", "mean", "mish", "mm", "norm", "pow", "selu", "sigmoid", "silu", "softmax", "softplus",
    "sqrt", "sum", "tanh", "var",
)  # fmt: skip
# About two units in the last place of a float32.
_SHARE = 2e-7


class LastBits(TorchDispatchMode):
    """Within the block, nudge each value that a rounding operator gives by up to two last bits.

    Up or down is drawn with `seed`. What an operator writes into its input stays as it is.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch annotates none of it
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func._schema.name
        if any(r.alias_info is not None for r in func._schema.returns):
            return out
        if not any(part in name for part in _ROUNDED):
            return out
        return tree_map_only(Tensor, self._nudged, out)

    def _nudged(self, tensor: Tensor) -> Tensor:
        if tensor.dtype != torch.float32 or tensor.is_quantized:
            return tensor
        share = (torch.rand(tensor.shape, generator=self._generator) * 2 - 1) * _SHARE
        return tensor + tensor * share
