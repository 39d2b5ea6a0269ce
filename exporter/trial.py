"""One run of the author's module before the work: what it raises, returns and costs."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop

from runtime_check.artifact.tensors import Dtype
from runtime_check.blame import authors_code
from runtime_check.outputs import absent, named

from .errors import ModelError
from .outputs import Path, paths, tensors_in

# An element that an operator writes takes about as long as so many multiply-accumulates.
_ELEMENT = 10
# A copy of a larger module would be most of what a machine has.
MOST_COPIED_BYTES = 4 * 2**30
# torchvision's own operators that the exporter writes with operators of torch (postprocess/nms.py).
REPLACED = frozenset({"torchvision::nms"})
# Twice the multiply-accumulates of operators that multiply matrices.
FLOPS = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop, **flop_registry}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one run showed: the outputs, and the work in multiply-accumulates.

    The work is counted, not timed: what is decided by it must not hang on how busy the machine is.
    """

    outputs: tuple[Tensor, ...]
    names: tuple[str, ...]  # see `runtime_check.outputs.named`
    paths: tuple[Path, ...]  # where each is in what `forward` returns
    is_tensor: bool  # alone, not in a tuple, list or dict
    absent: tuple[str, ...]  # names of outputs that are None
    work: int


def pristine(module: nn.Module) -> nn.Module | None:
    """Copy a module, so that running the copy changes nothing; None where it cannot be copied."""
    tensors = [*module.parameters(), *module.buffers()]
    if sum(t.numel() * t.element_size() for t in tensors) > MOST_COPIED_BYTES:
        return None
    try:
        return copy.deepcopy(module)
    except Exception:  # noqa: BLE001  authors' classes may refuse in any way
        return None


class _Work(TorchDispatchMode):
    """Count the work of the operators that run inside."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch annotates none of it
        self.total = 0
        self.torchvision: dict[str, None] = {}  # its operators that ran, in order

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "torchvision":
            self.torchvision[func._schema.name] = None
        out = func(*args, **kwargs)
        count = FLOPS.get(func.overloadpacket)
        if count is not None:
            self.total += int(count(*args, **kwargs, out_val=out)) // 2
        returns = func._schema.returns
        if not any(r.alias_info is not None and not r.alias_info.is_write for r in returns):
            given = out if isinstance(out, (tuple, list)) else [out]
            self.total += _ELEMENT * sum(t.numel() for t in given if isinstance(t, Tensor))
        return out


def try_out(name: str, module: nn.Module, example: Sequence[Tensor]) -> Trial:
    """Run `module` once on copies of `example`, its arguments; `name` is for messages.

    Raises `ModelError` where its forward takes other arguments, raises, or ends the process, and
    where an app cannot read what it returns.
    """
    _require_arguments(name, module, example)
    given, work = [t.clone() for t in example], _Work()
    try:
        with torch.no_grad(), work:
            result = module(*given)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  it may be the counting that the module cannot bear
        called = " and ".join(
            f"{str(t.dtype)[6:]} of shape {','.join(map(str, t.shape))}" for t in example
        )
        doing = f"{name}, called with {called},"
        hint = "Is that what it takes? --input-shape says the shape." if ":" in name else ""
        with authors_code(doing, ModelError, hint=hint), torch.no_grad():
            result = module(*(t.clone() for t in example))
    _require_operators(name, work)
    outputs = tuple(tensors_in(result))
    _require_readable(name, outputs)
    return Trial(
        outputs=outputs,
        names=tuple(output for output, _ in named(result)),
        paths=tuple(paths(result)),
        is_tensor=isinstance(result, Tensor),
        absent=tuple(absent(result)),
        work=work.total,
    )


def _require_operators(name: str, work: _Work) -> None:
    """Refuse torchvision's own operators: no phone's runtime has them; one alone is replaced."""
    missing = [operator for operator in work.torchvision if operator not in REPLACED]
    if not missing:
        return
    advice = (
        "Export a detector of one stage (torchvision's SSD, SSDLite, FCOS or RetinaNet), or a "
        "module of the backbone alone."
        if "torchvision::roi_align" in missing
        else "Write it with operators of torch alone, or export the module up to it."
    )
    raise ModelError(
        f"{name} calls {' and '.join(missing)}, which no phone's runtime has and no operators of "
        f"torch replace. {advice}"
    )


def _require_arguments(name: str, module: nn.Module, example: Sequence[Tensor]) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        return
    try:
        signature = inspect.signature(module.forward)
    except (TypeError, ValueError):
        return  # the run shows it
    try:
        signature.bind(*example)
    except TypeError as error:
        count = "one tensor" if len(example) == 1 else f"{len(example)} tensors"
        raise ModelError(
            f"forward of {name} takes {signature}, and is called with {count} ({error}). Say the "
            "shape of each with --input-shape NAME=..., or export a module around it."
        ) from None


def _require_readable(name: str, outputs: Sequence[Tensor]) -> None:
    known = get_args(Dtype)
    if not outputs:
        raise ModelError(f"{name} returns no tensor, so there is nothing for an app to read.")
    for tensor in outputs:
        dtype = str(tensor.dtype).removeprefix("torch.")
        if dtype not in known:
            advice = "`torch.view_as_real(x)`" if tensor.is_complex() else "`x.float()`"
            raise ModelError(
                f"{name} returns {dtype}, and apps read {', '.join(known)}. Return {advice}."
            )
        if tensor.layout != torch.strided or tensor.is_meta:
            what = "a tensor on meta" if tensor.is_meta else f"a tensor of layout {tensor.layout}"
            raise ModelError(f"{name} returns {what}, and apps read plain, dense ones.")
