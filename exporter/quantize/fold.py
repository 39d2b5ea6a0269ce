"""Make a float module simple before int8: BatchNorm folded, padding constant. Exact rewrites."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from .dataflow import Flow, replace_module, watch


def is_plain_conv(layer: nn.Module) -> bool:
    """Whether `layer` computes exactly nn.Conv2d's forward (zero padding, no weight rewriting)."""
    return (
        isinstance(layer, nn.Conv2d)
        and type(layer).forward is nn.Conv2d.forward
        and type(layer)._conv_forward is nn.Conv2d._conv_forward
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and not hasattr(layer, "parametrizations")
    )


def is_plain_linear(layer: nn.Module) -> bool:
    """Whether `layer` computes exactly nn.Linear's forward."""
    if not isinstance(layer, nn.Linear) or hasattr(layer, "parametrizations"):
        return False
    # timm's own Linear differs only under autocast inside torch.jit.script.
    return type(layer).forward is nn.Linear.forward or (
        type(layer).__module__ == "timm.layers.linear"
    )


def _same_padding(layer: nn.Module, flow: Flow, name: str) -> nn.Module | None:
    """Return the plain equal of a Conv2dSame for the input size it was seen with."""
    if not (isinstance(layer, nn.Conv2d) and type(layer).__name__ == "Conv2dSame"):
        return None
    if flow.calls.get(name) != 1:
        return None
    pads = []
    for size, kernel, stride, dilation in zip(
        flow.input_shapes[name][-2:], layer.kernel_size, layer.stride, layer.dilation, strict=True
    ):
        out = -(-size // stride)
        total = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
        pads.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = pads
    even = top == bottom and left == right
    plain = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        (layer.kernel_size[0], layer.kernel_size[1]),
        stride=(layer.stride[0], layer.stride[1]),
        padding=(top, left) if even else 0,
        dilation=(layer.dilation[0], layer.dilation[1]),
        groups=layer.groups,
        bias=layer.bias is not None,
    )
    plain.weight, plain.bias = layer.weight, layer.bias
    return plain if even else nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), plain)


def replace_same_padding(module: nn.Module, example: Tensor) -> tuple[str, ...]:
    """Replace every Conv2dSame in place by a constant pad and a plain Conv2d; name them.

    Exact for inputs of the size of `example`, and only for those: the padding of a Conv2dSame
    depends on the input's size.
    """
    names = [n for n, m in module.named_modules() if type(m).__name__ == "Conv2dSame"]
    if not names:
        return ()
    flow = watch(module, example)
    done = []
    for name in names:
        plain = _same_padding(module.get_submodule(name), flow, name)
        if plain is not None:
            replace_module(module, name, plain.eval())
            done.append(name)
    return tuple(done)


def fold_batch_norm(module: nn.Module, example: Tensor) -> tuple[str, ...]:
    """Fold each BatchNorm that alone reads a plain Conv2d or Linear into it, in place; name them.

    Exact up to float rounding. timm's BatchNormAct2d leaves its activation behind.
    """
    norms = [
        name
        for name, child in module.named_modules()
        if isinstance(child, nn.BatchNorm2d | nn.BatchNorm1d) and child.track_running_stats
    ]
    if not norms:
        return ()
    flow = watch(module, example)
    layers = [n for n, m in module.named_modules() if is_plain_conv(m) or is_plain_linear(m)]
    by_value = {flow.outputs[name]: name for name in layers if name in flow.outputs}
    done = []
    for name in norms:
        source = by_value.get(flow.inputs.get(name, (0, -1)))
        if source is None or not flow.feeds_only(source, name):
            continue
        norm, layer = module.get_submodule(name), module.get_submodule(source)
        assert isinstance(norm, nn.BatchNorm2d | nn.BatchNorm1d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
        with torch.no_grad():
            if isinstance(layer, nn.Conv2d):
                layer.weight, layer.bias = fuse_conv_bn_weights(
                    layer.weight, layer.bias, *statistics
                )
            elif isinstance(layer, nn.Linear) and flow.input_dims[source] == 2:
                layer.weight, layer.bias = fuse_linear_bn_weights(
                    layer.weight, layer.bias, *statistics
                )
            else:
                continue
        rest = getattr(norm, "act", None)
        replace_module(module, name, rest if isinstance(rest, nn.Module) else nn.Identity())
        done.append(name)
    return tuple(done)
