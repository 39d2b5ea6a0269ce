"""Find data-dependent control flow by running the module, not by reading its code.

A trace records one path. Python takes a path on data when it reads a tensor's *value*: `bool(t)`,
`int(t)`, `t.item()` all end in `aten::_local_scalar_dense` (or another operator that returns a
Python number), while `t.tolist()` and `t.numpy()` copy the memory. Values that come from parameters
alone are constants; only those that descend from the input make a trace wrong. So the input is
tainted, taint follows every operator, and a read of a tainted value is reported with the module
and the source line it happened in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Operators that hand a tensor's value to Python.
_READS = frozenset({"aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal", "aten::item"})


@dataclass(frozen=True, order=True)
class Branch:
    """One place where Python read a value that depends on the input."""

    module: str  # dotted name in the model; "" is the model itself
    type: str
    file: str
    line: int
    source: str

    def __str__(self) -> str:
        where = f"{self.module} ({self.type})" if self.module else self.type
        return f"{where}, {self.file}:{self.line}: {self.source}"


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_library(file: str) -> bool:
    parts = file.replace("\\", "/")
    return file == __file__ or ("/torch/" in parts and "/site-packages/" in parts)


class _TaintMode(TorchDispatchMode):
    """Propagate taint from inputs through operators and note reads of tainted values."""

    def __init__(self, names: dict[int, str], inputs: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch annotates none of it
        self._names = names
        # Taint is a property of the memory, so views share it. Weak references keep an address
        # from being given to another storage without keeping its data.
        self._storages: dict[int, StorageWeakRef] = {}
        self.branches: dict[Branch, None] = {}
        for tensor in inputs:
            self._taint(tensor)

    def _tainted(self, value: object) -> bool:
        return isinstance(value, Tensor) and _storage(value) in self._storages

    def _taint(self, value: object) -> None:
        if isinstance(value, Tensor) and _storage(value):
            self._storages[_storage(value)] = StorageWeakRef(value.untyped_storage())

    def read(self, value: object) -> None:
        """Note a read of `value` if it descends from the input."""
        if self._tainted(value):
            self._note()

    def _note(self) -> None:
        import linecache

        here = None
        for frame in _frames(sys._getframe(2)):
            owner = frame.f_locals.get("self")
            if here is None and not _is_library(frame.f_code.co_filename):
                here = frame
            if here is not None and isinstance(owner, nn.Module) and id(owner) in self._names:
                file, line = here.f_code.co_filename, here.f_lineno
                text = linecache.getline(file, line).strip()
                branch = Branch(self._names[id(owner)], type(owner).__name__, file, line, text)
                self.branches[branch] = None
                return

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        tainted = any(self._tainted(leaf) for leaf in leaves)
        if tainted and func._schema.name in _READS:
            self._note()
        result = func(*args, **kwargs)
        if tainted:
            for leaf in tree_leaves(result):
                self._taint(leaf)
            for argument, value in zip(func._schema.arguments, args, strict=False):
                if argument.alias_info is not None and argument.alias_info.is_write:
                    self._taint(value)
        return result


class _ReadMode(TorchFunctionMode):
    """Note the reads that never reach the dispatcher: they copy memory straight to Python."""

    _METHODS = (Tensor.tolist, Tensor.numpy, Tensor.__array__)

    def __init__(self, taint: _TaintMode) -> None:
        super().__init__()
        self._taint = taint

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in self._METHODS:
            self._taint.read(args[0])
        return func(*args, **(kwargs or {}))


def _storage(tensor: Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):
        return 0


def find_branches(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Branch, ...]:
    """Run `module` once and return every read of an input-dependent value, in order.

    Whole-tensor reads hidden in compiled submodules (already ScriptModules) are not seen; their
    control flow survives capture anyway.
    """
    names = {id(child): name for name, child in module.named_modules()}
    mode = _TaintMode(names, list(inputs))
    with torch.no_grad(), mode, _ReadMode(mode):
        module(*inputs)
    return tuple(mode.branches)
