"""What `forward` returns, as a flat list of tensors: one order for Python, files and reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def flatten(value: Any) -> list[Tensor]:
    """Return the tensors in `value` (a tensor, or tuples, lists or dicts of them), in order.

    Quantized ones are dequantized. Raises `TypeError` for anything else.
    """
    if isinstance(value, Tensor):
        return [value.dequantize() if value.is_quantized else value]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in flatten(item)]
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in flatten(item)]
    raise TypeError(
        f"forward returns a {type(value).__name__}; it has to return tensors (or tuples, lists or "
        "dicts of them)"
    )
