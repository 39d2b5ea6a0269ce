"""Which operator, on which line, makes two runs of one module differ: found by logging both.

The logs hold digests of what each operator is given and gives. The first entry that differs names
the line, and how it differs tells why: random numbers, a number that changes, state that a run
leaves behind, or another path.
"""

from __future__ import annotations

import hashlib
import linecache
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# random: an operator that draws. number: a Python number differs. state: a tensor of the module
# differs. outside: a tensor that no operator of the run made differs. path: other operators run.
# writes: the module's input is written to. result: one operator gives two results for one input.
Why = Literal["random", "number", "state", "outside", "path", "writes", "result"]

# Operators whose result is memory as it was found.
_EMPTY = {f"aten::{name}" for name in ("empty", "empty_like", "empty_strided", "empty_permuted")}
_EMPTY |= {"aten::new_empty", "aten::new_empty_strided"}
_OURS = f"{Path(__file__).parent}/"
_TORCH = f"{Path(torch.__file__).parent}/"
_STANDARD = f"{sysconfig.get_paths()['stdlib']}/"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One operator of a run; values are digests, `numbers` are printed."""

    operator: str  # aten::mul
    place: str  # models.py:40 `return x * random.random()`; "" outside of Python
    numbers: tuple[str, ...]
    given: tuple[str, ...]
    made: tuple[str, ...]
    names: tuple[str, ...]  # of the tensors given, where they are the module's; "" for others
    draws: bool
    writes: bool  # to the memory of the module's input


@dataclass(frozen=True, kw_only=True)
class Culprit:
    """An operator that makes runs differ, and why. `detail` is what differs, in words."""

    why: Why
    operator: str
    place: str
    detail: str = ""

    def __str__(self) -> str:
        called = f"{self.place} calls {self.operator}" if self.place else f"{self.operator} is run"
        return {
            "random": f"{called}, which draws random numbers",
            "number": f"{called} with {self.detail}",
            "state": f"{called} on `{self.detail}`, which an earlier run left another value in",
            "outside": f"{called} on a tensor that is another one each time",
            "path": f"{called} {self.detail}",
            "writes": f"{called}, which writes to it",
            "result": f"{called}, which gives two results for one input",
        }[self.why]


class _Log(TorchDispatchMode):
    """Log each operator that runs inside."""

    def __init__(self, names: Mapping[int, str], example: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch annotates none of it
        self._names, self._inputs = names, {_memory(t) for t in example}
        self._blank: set[int] = set()  # memory that nobody has written yet: it may hold anything
        self.steps: list[Step] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        leaves = tree_leaves((args, kwargs or {}))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        given = tuple(map(self._digest, tensors))  # before it writes
        result = func(*args, **(kwargs or {}))
        written = {
            _memory(leaf)
            for argument, value in zip(func._schema.arguments, args, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write
            for leaf in tree_leaves(value)
            if isinstance(leaf, Tensor)
        }
        results = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self._blank -= {*written, *map(_memory, results)}
        if func._schema.name in _EMPTY:
            self._blank |= set(map(_memory, results))
        step = Step(
            operator=func._schema.name,
            place=_place(sys._getframe(1)),
            numbers=tuple(_printed(leaf) for leaf in leaves if not isinstance(leaf, Tensor)),
            given=given,
            made=tuple(map(self._digest, results)),
            names=tuple(self._names.get(_memory(t), "") for t in tensors),
            draws=torch.Tag.nondeterministic_seeded in func.tags,
            writes=bool(self._inputs & set(written)),
        )
        self.steps.append(step)
        return result

    def _digest(self, tensor: Tensor) -> str:
        return "" if _memory(tensor) in self._blank else _digest(tensor)


def record(module: nn.Module, example: Sequence[Tensor]) -> list[Step]:
    """Run `module` on copies of `example`, its arguments, and return its operators in order."""
    attributes = [
        (f"{path}.{name}" if path else name, value)
        for path, child in module.named_modules()
        for name, value in vars(child).items()
        if isinstance(value, Tensor)
    ]
    held = [*module.named_parameters(), *module.named_buffers(), *attributes]
    given = [t.clone() for t in example]
    log = _Log({_memory(value): name for name, value in held if _memory(value)}, given)
    with torch.no_grad(), log:
        module(*given)
    return log.steps


def first_write(steps: Sequence[Step]) -> Culprit | None:
    """Return the first operator that writes to the module's input."""
    return next((_culprit("writes", step) for step in steps if step.writes), None)


def first_draw(steps: Sequence[Step]) -> Culprit | None:
    """Return the first operator that draws random numbers."""
    return next((_culprit("random", step) for step in steps if step.draws), None)


def first_difference(one: Sequence[Step], other: Sequence[Step]) -> Culprit | None:
    """Return the first operator where two logs differ, and how; None where they do not."""
    for a, b in zip_longest(one, other):
        if a is None or b is None:
            return _culprit("path", a or b, "in one of them alone")
        if (a.operator, a.place) != (b.operator, b.place):
            return _culprit("path", a, f"where the other calls {_called(b)}")
        if a.numbers != b.numbers:
            return _culprit("number", a, _numbers(a.numbers, b.numbers))
        if a.given != b.given:
            pairs = zip(a.given, b.given, a.names, strict=False)
            named = next((name for x, y, name in pairs if x != y and name), "")
            return _culprit("state" if named else "outside", a, named)
        if a.made != b.made:
            return _culprit("random" if a.draws else "result", a)
    return None


def _culprit(why: Why, step: Step, detail: str = "") -> Culprit:
    return Culprit(why=why, operator=step.operator, place=step.place, detail=detail)


def _called(step: Step) -> str:
    return f"{step.operator} ({step.place})" if step.place else step.operator


def _numbers(one: Sequence[str], other: Sequence[str]) -> str:
    for a, b in zip(one, other, strict=False):
        if a != b:
            return f"{a[:40]} in one run and {b[:40]} in the other"
    return "more numbers in one run than in the other"


def _printed(value: object) -> str:
    """Print a value without addresses, which differ between equal objects."""
    plain = (int, float, complex, str, torch.dtype, torch.device, torch.layout, torch.memory_format)
    return repr(value) if value is None or isinstance(value, plain) else type(value).__name__


def _digest(tensor: Tensor) -> str:
    """Digest dtype, shape and bytes; of an odd layout the first two alone."""
    found = hashlib.blake2b(f"{tensor.dtype} {list(tensor.shape)}".encode(), digest_size=16)
    try:
        plain = tensor.int_repr() if tensor.is_quantized else tensor
        found.update(plain.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    except (RuntimeError, NotImplementedError, TypeError):
        pass
    return found.hexdigest()


def _memory(tensor: Tensor) -> int:
    try:
        return int(tensor.untyped_storage().data_ptr())
    except (RuntimeError, NotImplementedError):
        return 0


def _place(frame: FrameType | None) -> str:
    """Name the innermost line outside of torch, the standard library and this package."""
    while frame is not None:
        file = frame.f_code.co_filename
        standard = file.startswith(_STANDARD) and "site-packages" not in file
        if file.startswith(_OURS):
            return ""  # we call the model: what is beyond that is nobody's line
        if not (file.startswith(("<", _TORCH)) or standard):
            text = linecache.getline(file, frame.f_lineno).strip()
            where = f"{Path(file).name}:{frame.f_lineno}"
            return f"{where} `{text[:100]}`" if text else where
        frame = frame.f_back
    return ""
