"""What `forward` returns, as a flat list of named tensors: one order for Python, files, reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor


def flatten(value: Any) -> list[Tensor]:
    """Return the tensors in `value` (a tensor, or containers of them), in order.

    Quantized ones are dequantized. A None among them is left out: it is an output that a module
    has in training only, or does not have as it was made. Raises `TypeError` for anything else.
    """
    return [tensor for _, tensor in named(value)]


def named(value: Any) -> list[tuple[str, Tensor]]:
    """Return the tensors in `value` in order, each with its name.

    That is its key in a dict, its field in a named tuple or dataclass, else `output_0`,
    `output_1`, ... by its position; inside of another container the names are joined by a dot.
    Raises as `flatten`.
    """
    if isinstance(value, Tensor):
        return [("output_0", value.dequantize() if value.is_quantized else value)]
    return [*_inside(value, "")]


def absent(value: Any) -> list[str]:
    """Name each None that `flatten` leaves out, as `named` names tensors."""
    return [*_absent(value, "")]


def _inside(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value.dequantize() if value.is_quantized else value
        return
    parts = _parts(value, name)
    if parts is None:
        raise TypeError(
            f"forward returns a {type(value).__name__}; it has to return tensors (or tuples, lists "
            "or dicts of them)"
        )
    for inner, item in parts:
        if item is not None:
            yield from _inside(item, f"{name}.{inner}" if name else inner)


def _absent(value: Any, name: str) -> Iterator[str]:
    for inner, item in _parts(value, name) or ():
        full = f"{name}.{inner}" if name else inner
        if item is None:
            yield full
        else:
            yield from _absent(item, full)


def _parts(value: Any, name: str) -> list[tuple[str, Any]] | None:
    """Return what a container holds with the names in it; None where `value` is none."""
    if isinstance(value, Mapping):
        return [(str(key), item) for key, item in value.items()]
    if is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, (tuple, list)):
        names = getattr(value, "_fields", None)
        plain = [str(i) if name else f"output_{i}" for i in range(len(value))]
        return [*zip(map(str, names) if names else plain, value, strict=True)]
    return None
