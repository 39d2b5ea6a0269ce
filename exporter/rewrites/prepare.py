"""Step 2, prepare: exact rewrites of the Python module before anything is captured.

Every pass is a function from a module and an example input to a list of edits. Matches come from
watching the module run, not from names, so they hold for any author's code. Rewrites that need to
see the whole graph are in `rewrite`. The pipeline compares outputs before and after and leaves a
pass out when it changed what is computed.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from runtime_check.artifact.metadata import Pass
from runtime_check.compare import Tolerance, compare

from ..outputs import run
from .rewrite import REWRITES
from .trace import trace
from .watch import Recorder, calls_of, hooks, watch

aten = torch.ops.aten


@dataclass(frozen=True)
class Edit:
    """Replace the submodule `name` by `module`."""

    name: str
    module: nn.Module


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The rewritten module (the source's own object when nothing matched) and what was done."""

    module: nn.Module
    passes: tuple[Pass, ...]


def replace_submodule(root: nn.Module, name: str, new: nn.Module) -> None:
    """Put `new` in place of the submodule with the dotted `name`."""
    parent, _, leaf = name.rpartition(".")
    setattr(root.get_submodule(parent), leaf, new)


# --- reparameterize ----------------------------------------------------------------------------

_FUSE_METHODS = ("fuse", "reparameterize", "switch_to_deploy")


def reparameterize(module: nn.Module, example: Tensor) -> list[Edit]:
    """Call the layers' own fusing methods (RepVGG-style branches, LeViT's Linear+BatchNorm).

    Layers with `reparameterize()` fold their training branches into one convolution in place;
    layers with `fuse()` return a replacement. Outermost first, as timm does.
    """
    edits: list[Edit] = []

    def visit(owner: nn.Module, prefix: str) -> None:
        for name, child in owner.named_children():
            path = f"{prefix}{name}"
            method = next((m for m in _FUSE_METHODS if callable(getattr(child, m, None))), None)
            if method is None:
                visit(child, f"{path}.")
                continue
            fused = getattr(child, method)()
            if not isinstance(fused, nn.Module):
                # Its branches are gone: a second call (int8 prepares its own copy) would fail.
                vars(child)[method] = None
            edits.append(Edit(path, fused if isinstance(fused, nn.Module) else child))

    visit(module, "")
    return edits


def _has_fuse_methods(module: nn.Module) -> bool:
    children = (child for child in module.modules() if child is not module)
    return any(callable(getattr(child, name, None)) for child in children for name in _FUSE_METHODS)


# --- plain convolutions ------------------------------------------------------------------------


def _custom_convolution(child: nn.Module) -> bool:
    return isinstance(child, nn.Conv2d) and type(child).forward is not nn.Conv2d.forward


def _plain(child: nn.Conv2d, example: Tensor) -> nn.Module | None:
    """Return an equal plain convolution for this input size, or None."""
    calls: list[tuple[Any, tuple[Any, ...], Any]] = []
    with torch.no_grad(), Recorder(lambda op, args, _, out: calls.append((op, args, out))):
        child(example)
    convolutions = [(args, out) for op, args, out in calls if op is aten.convolution.default]
    pads = [(args, out) for op, args, out in calls if op is aten.constant_pad_nd.default]
    if len(convolutions) != 1 or calls[-1][0] is not aten.convolution.default:
        return None
    taken, weight, bias, stride, padding, dilation, transposed, _, groups = convolutions[0][0]
    before: list[int] = [0, 0, 0, 0]
    if len(pads) == 1 and pads[0][1] is taken:
        taken, before = pads[0][0][0], [int(n) for n in pads[0][0][1]]
        if len(pads[0][0]) > 2 and pads[0][0][2] != 0:
            return None
    if taken is not example or transposed or any(n < 0 for n in before):
        return None
    left, right, top, bottom = before + [0] * (4 - len(before))
    symmetric = left == right and top == bottom
    size = (int(padding[0]) + top, int(padding[1]) + left) if symmetric else tuple(padding)
    plain = nn.Conv2d(
        child.in_channels,
        child.out_channels,
        (child.kernel_size[0], child.kernel_size[1]),
        stride=(int(stride[0]), int(stride[1])),
        padding=(int(size[0]), int(size[1])),
        dilation=(int(dilation[0]), int(dilation[1])),
        groups=int(groups),
        bias=bias is not None,
        device="meta",
    )
    plain.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        plain.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    plain.eval()
    if symmetric:
        return plain
    return nn.Sequential(nn.ConstantPad2d((left, right, top, bottom), 0.0), plain).eval()


def plain_convolutions(module: nn.Module, example: Tensor) -> list[Edit]:
    """Replace convolutions with a forward of their own by plain ones, where that is exact.

    TensorFlow-style "same" padding computed from the input becomes constant padding for this
    input size; standardised weights are computed once. XNNPACK prepacks only plain convolutions,
    and FX cannot trace the others.
    """
    custom = {n: child for n, child in module.named_modules() if n and _custom_convolution(child)}
    seen = calls_of(module, custom, example)
    edits = []
    for name, calls in seen.items():
        child = module.get_submodule(name)
        assert isinstance(child, nn.Conv2d)
        shapes = {tuple(given.shape[1:]) for given, _ in calls}
        if len(shapes) != 1:
            continue  # the padding would differ from call to call
        plain = _plain(child, calls[0][0])
        if plain is not None:
            edits.append(Edit(name, plain))
    return edits


# --- fold batch norm ---------------------------------------------------------------------------


def _plain_forward(child: nn.Module) -> bool:
    return (
        (isinstance(child, nn.Conv2d) and type(child).forward is nn.Conv2d.forward)
        or (isinstance(child, nn.Conv1d) and type(child).forward is nn.Conv1d.forward)
        or (isinstance(child, nn.Linear) and type(child).forward is nn.Linear.forward)
    )


def _after_norm(norm: nn.Module) -> nn.Module | None:
    """What a batch norm leaves behind once its affine part is folded; None: unknown subclass."""
    if type(norm).forward in (nn.BatchNorm2d.forward, nn.BatchNorm1d.forward):
        return nn.Identity()
    # timm's BatchNormAct2d: norm, dropout, activation.
    drop, act = getattr(norm, "drop", None), getattr(norm, "act", None)
    if isinstance(drop, nn.Module) and isinstance(act, nn.Module):
        rest = [layer for layer in (drop, act) if not isinstance(layer, nn.Identity)]
        return rest[0] if len(rest) == 1 else nn.Sequential(*rest) if rest else nn.Identity()
    return None


def _folded(layer: nn.Module, norm: Any) -> nn.Module:
    """Return a copy of `layer` with the statistics of `norm` folded in, computed in float64."""
    new: Any = copy.copy(layer)
    new._parameters = dict(layer._parameters)
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    weight = new.weight.double()
    shape = [-1] + [1] * (weight.dim() - 1)
    bias = (
        new.bias.double() if new.bias is not None else torch.zeros_like(norm.running_mean).double()
    )
    shift = norm.bias.double() if norm.bias is not None else 0.0
    dtype = new.weight.dtype
    new.weight = nn.Parameter((weight * scale.view(shape)).to(dtype), requires_grad=False)
    new.bias = nn.Parameter(
        ((bias - norm.running_mean.double()) * scale + shift).to(dtype), requires_grad=False
    )
    folded: nn.Module = new.eval()
    return folded


def fold_batch_norm(module: nn.Module, example: Tensor) -> list[Edit]:
    """Fold every batch norm into the convolution or linear layer that alone feeds it.

    Folding before capture is what keeps `optimize_for_mobile` from folding it wrongly in traces
    (pytorch#76807): afterwards there is nothing left to fold. A pair qualifies when each ran once,
    nothing else read the layer's output, and the layer's weight belongs to it alone.
    """
    norms = {
        name: child
        for name, child in module.named_modules()
        if isinstance(child, (nn.BatchNorm2d, nn.BatchNorm1d))
        and child.running_mean is not None
        and _after_norm(child) is not None
    }
    if not norms:
        return []
    layers = {name: child for name, child in module.named_modules() if _plain_forward(child)}
    owners = Counter(id(p) for child in module.modules() for p in child._parameters.values())
    flow = watch(module, example)
    sources = {flow.outputs[name]: name for name in layers if name in flow.outputs}
    edits = []
    for norm_name, norm in norms.items():
        layer_name = sources.get(flow.inputs[norm_name]) if norm_name in flow.inputs else None
        rest = _after_norm(norm)
        if layer_name is None or rest is None or not flow.feeds_only(layer_name, norm_name):
            continue
        layer = layers[layer_name]
        if owners[id(layer.weight)] == 1:
            edits += [Edit(layer_name, _folded(layer, norm)), Edit(norm_name, rest.eval())]
    return edits


# --- RMSNorm from older operators --------------------------------------------------------------


class PlainRmsNorm(nn.Module):
    """Root-mean-square norm over the last `dims` dimensions, from operators that 2.1.0 has."""

    def __init__(self, weight: Tensor | None, dims: int, eps: float) -> None:
        super().__init__()
        kept = None if weight is None else nn.Parameter(weight.detach(), requires_grad=False)
        self.weight = kept
        self.over = [-1 - i for i in range(dims)]
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x`."""
        y = x * torch.rsqrt((x * x).mean(self.over, True) + self.eps)
        return y if self.weight is None else y * self.weight


class _RmsCalls(TorchFunctionMode):
    """Keep the calls of `rms_norm`, which TorchScript would record as one operator."""

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


def plain_rms_norms(module: nn.Module, example: Tensor) -> list[Edit]:
    """Replace modules that are one `rms_norm` by its definition.

    PyTorch 2.1 has no such operator: a file with it does not load there.
    """
    norms = {
        name: child
        for name, child in module.named_modules()
        if name and not list(child.children()) and "norm" in type(child).__name__.lower()
    }
    seen = calls_of(module, norms, example)
    edits = []
    for name, calls in seen.items():
        with torch.no_grad(), _RmsCalls() as recorded:
            norms[name](calls[0][0])
        if len(recorded.calls) != 1:
            continue
        (given, shape, weight, eps), result = recorded.calls[0]
        if given is not calls[0][0] or result.shape != calls[0][1].shape:
            continue
        eps = torch.finfo(given.dtype).eps if eps is None else float(eps)
        edits.append(Edit(name, PlainRmsNorm(weight, len(shape), eps).eval()))
    return edits


# --- channels last -----------------------------------------------------------------------------


class ChannelsLast(nn.Module):
    """Lay an image batch out with its channels innermost; values and shape stay."""

    def forward(self, x: Tensor) -> Tensor:
        """Copy `x` (N,C,H,W) where it is laid out otherwise."""
        return x.contiguous(memory_format=torch.channels_last)


def _convolves_first(child: nn.Module) -> bool:
    """Whether a module is a plain convolution, or one behind the padding split from it."""
    if isinstance(child, nn.Sequential) and len(child) == 2:
        return isinstance(child[0], nn.ConstantPad2d) and _convolves_first(child[1])
    return isinstance(child, nn.Conv2d) and _plain_forward(child)


def channels_last(module: nn.Module, example: Tensor) -> list[Edit]:
    """Give the first convolution (behind its padding) its input with channels innermost.

    XNNPACK's convolutions want that layout and return their result in the layout they were given:
    from an input in the usual order, each one copies twice. From one in theirs, none does.
    """
    if example.dim() != 4:
        return []
    first: list[str] = []

    def note(name: str, args: tuple[Any, ...]) -> None:
        if args and args[0] is example:
            first.append(name)

    convolutions = {
        n: child for n, child in module.named_modules() if n and _convolves_first(child)
    }
    with torch.no_grad(), hooks(convolutions, before=note):
        module(example)
    return [
        Edit(name, nn.Sequential(ChannelsLast(), module.get_submodule(name)).eval())
        for name in dict.fromkeys(first)
    ]


# --- the list ----------------------------------------------------------------------------------

PassFunction = Callable[[nn.Module, Tensor], list[Edit]]

# In this order: fusing branches exposes convolutions, plain convolutions take batch norms in.
PREPARE_PASSES: dict[str, PassFunction] = {
    "reparameterize": reparameterize,
    "plain-convolutions": plain_convolutions,
    "fold-batch-norm": fold_batch_norm,
    "plain-rms-norms": plain_rms_norms,
    "channels-last": channels_last,
}


def _rewritten(
    module: nn.Module,
    samples: Sequence[Tensor],
    expected: Sequence[Sequence[Tensor]],
    tolerance: Tolerance,
    left_out: Mapping[str, str],
) -> tuple[nn.Module, list[Pass]]:
    """Run the rewrites of the traced graph; return the module itself where nothing pays.

    All are checked together; only where the outputs differ, each is checked alone.
    """
    wanted = [name for name in REWRITES if name not in left_out]
    off = [Pass(name=n, stage="prepare", effect=left_out[n]) for n in REWRITES if n in left_out]
    if not wanted or len(samples[0].shape) != 4:
        return module, off

    def left_alone(why: str) -> tuple[nn.Module, list[Pass]]:
        effect = f"left alone: {why}"
        return module, off + [Pass(name=n, stage="prepare", effect=effect) for n in wanted]

    try:
        traced, _ = trace(module, samples[0])
    except Exception as error:  # noqa: BLE001  a module may hold any author's code
        return left_alone(str(error))
    for checked_alone in (False, True):
        current, done, changed = traced, [], 0
        for name in wanted:
            rewrite, what = REWRITES[name]
            # A graph of its own over the same layers: no weight is copied.
            candidate = fx.GraphModule(current, copy.deepcopy(current.graph)).eval()
            try:
                count = rewrite(candidate, samples[0])
                problem = ""
                if count and checked_alone:
                    problem = _difference(candidate, samples, expected, tolerance)
            except Exception as error:  # noqa: BLE001  as above
                count, problem = 0, f"it raised {error}"
            if problem:
                done.append(Pass(name=name, stage="prepare", effect=f"left out: {problem}"))
                continue
            effect = f"{count} {what}" if count else "left alone: nothing matches"
            done.append(Pass(name=name, stage="prepare", effect=effect))
            if count:
                current = candidate
            # Dropout and Identity cost nothing by themselves: no reason to ship a graph instead.
            changed += count if name != "drop-identities" else 0
        if not changed:
            _, alone = left_alone("nothing matches")
            failed = {p.name: p for p in done if p.effect.startswith("left out")}
            return module, [failed.get(p.name, p) for p in alone]
        if checked_alone or not _difference(current, samples, expected, tolerance):
            return current, off + done
    raise AssertionError("the second round returns")


def _structure_copy(module: nn.Module) -> nn.Module:
    """Copy the modules and share their tensors: edits replace modules, never write into tensors."""
    return copy.deepcopy(module, {id(t): t for t in (*module.parameters(), *module.buffers())})


def prepare(
    module: nn.Module,
    samples: Sequence[Tensor],
    expected: Sequence[Sequence[Tensor]],
    tolerance: Tolerance,
    *,
    left_out: Mapping[str, str] = {},
) -> Prepared:
    """Run the exact rewrites, each checked on `samples` against `expected`.

    `samples` are network inputs (`expected[i]` the source module's outputs for them). The source
    module is never changed: its modules are copied before the first edit, its weights are shared. A
    pass whose result differs, or that raises, is undone and reported as such. `left_out` names
    passes not to run, and why.
    """
    current, owned, done = module, False, []
    example = samples[0]
    for name, find in PREPARE_PASSES.items():
        if name in left_out:
            done.append(Pass(name=name, stage="prepare", effect=left_out[name]))
            continue
        if find is reparameterize and not _has_fuse_methods(current):
            continue
        try:
            # Fusing methods edit in place, so they get a copy to look at; the others look first.
            looked = copy.deepcopy(current) if find is reparameterize else current
            edits = find(looked, example)
            if not edits:
                continue
            if find is reparameterize:
                candidate = looked
            else:
                candidate = current if owned else _structure_copy(current)
            undo = [Edit(e.name, candidate.get_submodule(e.name)) for e in edits]
            for edit in edits:
                replace_submodule(candidate, edit.name, edit.module)
            problem = _difference(candidate, samples, expected, tolerance)
        except Exception as error:  # noqa: BLE001  a pass may meet any author's code
            done.append(Pass(name=name, stage="prepare", effect=f"left out: it raised {error}"))
            continue
        if problem:
            if candidate is current:
                for edit in reversed(undo):
                    replace_submodule(candidate, edit.name, edit.module)
            done.append(Pass(name=name, stage="prepare", effect=f"left out: {problem}"))
            continue
        current, owned = candidate, True
        done.append(Pass(name=name, stage="prepare", effect=_effect(name, edits)))
    current, rewrites = _rewritten(current, samples, expected, tolerance, left_out)
    return Prepared(module=current.eval(), passes=(*done, *rewrites))


def _effect(name: str, edits: list[Edit]) -> str:
    count = len(edits) // 2 if name == "fold-batch-norm" else len(edits)
    what = {
        "reparameterize": "layers fused by their own methods",
        "plain-convolutions": "convolutions made plain",
        "fold-batch-norm": "batch norms folded",
        "plain-rms-norms": "RMSNorms written out",
        "channels-last": "first convolutions given channels innermost",
    }[name]
    return f"{count} {what}"


def _difference(
    module: nn.Module,
    samples: Sequence[Tensor],
    expected: Sequence[Sequence[Tensor]],
    tolerance: Tolerance,
) -> str:
    for sample, wanted in zip(samples, expected, strict=True):
        got = run(module, (sample,))
        result = compare([w.numpy() for w in wanted], [g.numpy() for g in got], tolerance)
        if not result:
            return f"outputs differ, {result}"
    return ""
