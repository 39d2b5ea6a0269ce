"""What people put around a network before they hand it over, and how to take it off.

`nn.DataParallel` and `torch.compile` change where and how a network runs, not what it computes.
What is exported, hashed and compared is the network inside. A TorchScript module has no Python
source any more: it is taken as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.parameter import is_lazy


def unwrap(module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the network within its wrappers, and the names of those, outermost first.

    Taken off are `DataParallel`, `DistributedDataParallel` and `torch.compile`, in any order and
    number. `module` itself is not changed.
    """
    names: list[str] = []
    while (inner := _inside(module)) is not None:
        names.append(_wrapper(module))
        module = inner
    return module, tuple(names)


def wrapped_parts(module: nn.Module) -> list[nn.Module]:
    """Return the submodules of `module` that are wrappers, or were changed by one, innermost last.

    That is `self.body = torch.compile(body)`, `self.body = nn.DataParallel(body)`, and modules on
    which `.compile()` was called.
    """
    if is_torchscript(module):
        return []
    changed = (m for m in module.modules() if getattr(m, "_compiled_call_impl", None) is not None)
    return [*(m for m in module.modules() if _inside(m) is not None), *changed]


def wrappers_of(parts: Iterable[nn.Module]) -> tuple[str, ...]:
    """Name what is around, or was called on, each of `parts`, each name once."""
    return tuple(dict.fromkeys(_wrapper(part) for part in parts))


def unwrap_parts(module: nn.Module) -> None:
    """Put what `wrapped_parts` finds back to what it was, in place."""
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and _inside(child) is not None:
                parent._modules[name] = _original(child)
        if getattr(parent, "_compiled_call_impl", None) is not None:
            parent._compiled_call_impl = None


def copied(module: nn.Module) -> nn.Module:
    """Copy `module` with wrapped parts put back.

    A copy of what torch.compile made is no module any more, so the original is copied in its place.
    """
    memo: dict[int, object] = {}
    for part in reversed(wrapped_parts(module)):
        original = _original(part)
        if original is not part:
            memo[id(part)] = copy.deepcopy(original, memo)
    duplicate = copy.deepcopy(module, memo)
    if not is_torchscript(duplicate):
        unwrap_parts(duplicate)
    return duplicate


def without_gradients(module: nn.Module) -> nn.Module:
    """Put `module` into eval mode, float32, without gradients, in place; return it.

    `requires_grad_` of a TorchScript module raises, and its parameters are no leaves any more once
    they were converted: they are detached first.
    """
    # A lazy one gets its values from a checkpoint, and none of them was converted.
    for parameter in [p for p in module.parameters() if not is_lazy(p)]:
        if parameter.is_leaf:
            parameter.requires_grad_(False)
        else:
            parameter.detach_()
    return module.eval().float()


def is_torchscript(module: nn.Module) -> bool:
    """Say whether `module` was scripted, traced, or loaded by `torch.jit.load`."""
    return isinstance(module, torch.jit.ScriptModule)


def _wrapper(module: nn.Module) -> str:
    parallel = isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel))
    return type(module).__name__ if parallel else "torch.compile"


def _inside(module: nn.Module) -> nn.Module | None:
    """Return what a wrapper is around; None for a module that is none."""
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        wrapped: nn.Module = module.module
        return wrapped
    # By name: importing torch._dynamo to ask for the class takes seconds.
    if type(module).__name__ != "OptimizedModule":
        return None
    inner = module._modules.get("_orig_mod")
    return inner if isinstance(inner, nn.Module) else None


def _original(module: nn.Module) -> nn.Module:
    """Return what wrappers are around, one or several."""
    return unwrap(module)[0]
