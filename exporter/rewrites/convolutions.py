"""Turn convolutions into ones that XNNPACK can prepack, and their input into its layout."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .layers import Edit, is_plain_conv
from .watch import Example, Recorder, calls_of, hooks

aten = torch.ops.aten

# --- plain convolutions --------------------------------------------------------------------------


def _could_be_plainer(child: nn.Module) -> bool:
    own_forward = isinstance(child, nn.Conv2d) and type(child).forward is not nn.Conv2d.forward
    return own_forward or (isinstance(child, nn.Conv2d) and isinstance(child.padding, str))


def _plain(child: nn.Conv2d, example: Tensor) -> nn.Module | None:
    """Return an equivalent plain convolution for this input size, or None."""
    calls: list[tuple[Any, tuple[Any, ...], Any]] = []
    with torch.no_grad(), Recorder(lambda op, args, _, out: calls.append((op, args, out))):
        child(example)
    convolutions = [(args, out) for op, args, out in calls if op is aten.convolution.default]
    pads = [(args, out) for op, args, out in calls if op is aten.constant_pad_nd.default]
    if len(convolutions) != 1 or calls[-1][0] is not aten.convolution.default:
        return None
    source, weight, bias, stride, padding, dilation, transposed, _, groups = convolutions[0][0]
    before: list[int] = [0, 0, 0, 0]
    if len(pads) == 1 and pads[0][1] is source:
        source, before = pads[0][0][0], [int(n) for n in pads[0][0][1]]
        if len(pads[0][0]) > 2 and pads[0][0][2] != 0:
            return None
    if source is not example or transposed or any(n < 0 for n in before):
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


def plain_convolutions(module: nn.Module, example: Example) -> list[Edit]:
    """Replace convolutions with a custom forward by plain ones, where that is exact.

    TensorFlow-style "same" padding computed from the input becomes constant padding for this
    input size; standardized weights are computed once. XNNPACK prepacks only plain convolutions,
    and FX cannot trace the others.
    """
    custom = {n: child for n, child in module.named_modules() if n and _could_be_plainer(child)}
    recorded = calls_of(module, custom, example)
    edits = []
    for name, calls in recorded.items():
        child = module.get_submodule(name)
        assert isinstance(child, nn.Conv2d)
        shapes = {tuple(x.shape[1:]) for x, _ in calls}
        if len(shapes) != 1:
            continue  # the padding would differ between calls
        plain = _plain(child, calls[0][0])
        if plain is not None:
            edits.append(Edit(name, plain))
    return edits


# --- channels last -------------------------------------------------------------------------------


class ChannelsLast(nn.Module):
    """Change the memory layout of an image batch to channels-last; values and shape stay."""

    def forward(self, x: Tensor) -> Tensor:
        """Copy `x` (N,C,H,W) unless it has that layout already."""
        return x.contiguous(memory_format=torch.channels_last)


def _convolves_first(child: nn.Module) -> bool:
    """Whether a module is a plain convolution, or a padding followed by one."""
    if isinstance(child, nn.Sequential) and len(child) == 2:
        return isinstance(child[0], nn.ConstantPad2d) and _convolves_first(child[1])
    return is_plain_conv(child, any_padding=True)


def channels_last(module: nn.Module, example: Example) -> list[Edit]:
    """Give the first convolution (or its padding) a channels-last input.

    XNNPACK's convolutions compute in that layout and return the layout of their input: with the
    default one, each convolution copies twice. With channels-last, none does.
    """
    if not isinstance(example, Tensor) or example.dim() != 4:
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
