"""What `forward` returns, as a flat list of tensors: one order for Python, files and reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def flatten(value: Any) -> list[Tensor]:
    """Return the tensors in `value` (a tensor, or tuples, lists or dicts of them), in order.

    Quantized ones are dequantized. A None among them is left out: it is an output that a module
    has in training only, or does not have as it was made. Raises `TypeError` for anything else.
    """
    if isinstance(value, Tensor):
        return [value.dequantize() if value.is_quantized else value]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in _present(item)]
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in _present(item)]
    raise TypeError(
        f"forward returns a {type(value).__name__}; it has to return tensors (or tuples, lists or "
        "dicts of them)"
    )


def absent(value: Any) -> list[str]:
    """Name each None that `flatten` leaves out: by its key or field, else by its position."""
    if isinstance(value, Mapping):
        named = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (tuple, list)):
        fields = getattr(value, "_fields", None) or [f"output {i}" for i in range(len(value))]
        named = [*zip(map(str, fields), value, strict=True)]
    else:
        return []
    names: list[str] = []
    for name, item in named:
        names += [name] if item is None else [f"{name}.{inner}" for inner in absent(item)]
    return names


def _present(value: Any) -> list[Tensor]:
    return [] if value is None else flatten(value)
