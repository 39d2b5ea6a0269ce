"""Eager must agree with itself: a module that answers one input in two ways cannot be verified.

Its randomness would be measured as float32 rounding, and any file would lie within that. So before
anything is measured, the module is run again, and a fresh copy of it in another order, and every
bit has to be the same. The operator that differs first is named, with the author's line.
"""

from __future__ import annotations

import hashlib
import linecache
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .errors import NotReproducible
from .outputs import run
from .plan import Plan
from .trial import pristine

_TORCH = str(Path(torch.__file__).parent)
_ADVICE = (
    "A file cannot be verified against that. Take what changes out of forward: random numbers "
    "(F.dropout wants training=self.training), counters, buffers and inputs written to."
)


def require_agreement(plan: Plan) -> None:
    """Raise `NotReproducible` unless the module gives the same bits for the same input.

    Compared are two runs, a run of a fresh copy that saw other inputs first, and the input before
    and after. Python's and numpy's random numbers show, too, which tracing would freeze.
    """
    module, name = plan.source.module, plan.source.provenance.model
    first, last = plan.inputs[0], plan.inputs[-1]
    fresh = pristine(module)
    wanted = _answer(module, first, name)
    ends = _answer(module, last, name)
    _require_same(wanted, _answer(module, first, name), "two runs", module, first, name)
    other = module if fresh is None else fresh
    which = "a run after other inputs" if fresh is None else "a fresh copy that saw other inputs"
    _require_same(ends, _answer(other, last, name), which, module, last, name)
    _require_same(wanted, _answer(other, first, name), which, module, first, name)


def _answer(module: nn.Module, example: Tensor, name: str) -> list[Tensor]:
    """Run `module` on a copy of `example`, which has to stay as it was."""
    given = example.clone()
    outputs = run(module, (given,))
    if _bits(given) != _bits(example):
        writes = next((s for s in _log(module, example) if s.writes_input), None)
        where = "" if writes is None else f" {writes.line} calls {writes.operator}."
        raise NotReproducible(f"Eager {name} writes to its input.{where} {_ADVICE}")
    return outputs


def _require_same(
    one: Sequence[Tensor],
    other: Sequence[Tensor],
    which: str,
    module: nn.Module,
    example: Tensor,
    name: str,
) -> None:
    if [_bits(t) for t in one] == [_bits(t) for t in other]:
        return
    apart = [
        float((a.double() - b.double()).abs().max())
        for a, b in zip(one, other, strict=False)
        if a.shape == b.shape and a.numel()
    ]
    how = f" by up to {max(apart):.3g}" if apart else " in shape"
    cause = _cause(module, example)
    raise NotReproducible(
        f"Eager {name} does not agree with itself: {which} on the same input differ{how}. "
        f"{cause}{' ' if cause else ''}{_ADVICE}"
    )


def _bits(tensor: Tensor) -> tuple[str, tuple[int, ...], bytes]:
    plain = tensor.detach().contiguous()
    raw = plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
    return str(plain.dtype), tuple(plain.shape), hashlib.blake2b(raw).digest()


# --- which operator -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    """One operator of a run: what it was given and gave, as digests, and the author's line."""

    operator: str
    line: str
    numbers: tuple[str, ...]  # arguments that are no tensors of more than one value
    tensors: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    writes_input: bool


class _Log(TorchDispatchMode):
    """Write down every operator that runs inside."""

    def __init__(self, example: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch annotates none of it
        self.steps: list[_Step] = []
        self.storage = example.untyped_storage().data_ptr()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        large = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.numel() != 1]
        small = [leaf for leaf in leaves if not isinstance(leaf, Tensor) or leaf.numel() == 1]
        numbers = tuple(_said(leaf) for leaf in small)
        tensors = tuple(_digest(leaf) for leaf in large)
        writes = any(
            argument.alias_info is not None
            and argument.alias_info.is_write
            and isinstance(value, Tensor)
            and value.untyped_storage().data_ptr() == self.storage
            for argument, value in zip(func._schema.arguments, args, strict=False)
        )
        result = func(*args, **kwargs)
        outputs = tuple(_digest(t) for t in tree_leaves(result) if isinstance(t, Tensor))
        name = str(func).removesuffix(".default")
        self.steps.append(_Step(name, _authors_line(), numbers, tensors, outputs, writes))
        return result


def _said(value: Any) -> str:
    return f"{value.item():.6g}" if isinstance(value, Tensor) else f"{value!r:.40}"


def _digest(tensor: Tensor) -> bytes:
    if tensor.layout != torch.strided or tensor.is_quantized:
        return b""
    return _bits(tensor)[2]


def _authors_line() -> str:
    """Name the innermost line on the stack that is neither torch's nor this module's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if path != __file__ and not path.startswith((_TORCH, "<")):
            code = linecache.getline(path, frame.f_lineno).strip()
            return f"{Path(path).name}:{frame.f_lineno} `{code}`"
        frame = frame.f_back
    return ""


def _log(module: nn.Module, example: Tensor) -> list[_Step]:
    given = example.clone()
    log = _Log(given)
    try:
        with torch.no_grad(), log:
            module(given)
    except Exception:  # noqa: BLE001  some modules cannot bear being watched; then no line is named
        return []
    return log.steps


def _cause(module: nn.Module, example: Tensor) -> str:
    """Run twice more, watched, and say which operator differs first; "" where none does."""
    for one, other in zip(_log(module, example), _log(module, example), strict=False):
        if one.operator != other.operator:
            return f"{one.line} takes another path each time."
        if one.numbers != other.numbers:
            given = next((a, b) for a, b in zip(one.numbers, other.numbers, strict=True) if a != b)
            return (
                f"{one.line} calls {one.operator} with another number each time "
                f"({given[0]}, then {given[1]})."
            )
        if one.tensors != other.tensors:
            return f"{one.line} calls {one.operator} on a tensor that the run before has changed."
        if one.outputs != other.outputs:
            return f"{one.line} calls {one.operator}, which gives other numbers each time."
    return ""
