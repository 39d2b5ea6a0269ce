"""Layers: which compute exactly what torch's own do, tables of activations, and modified copies."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeGuard, TypeVar, cast

from torch import Tensor, nn

# Layers that return their input in eval mode.
NO_OPS = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
# XNNPACK fuses these into the preceding layer.
CLAMPS = (nn.ReLU, nn.ReLU6, nn.Hardtanh)
# Elementwise functions.
ACTIVATIONS = (
    *CLAMPS,
    nn.GELU,
    nn.SiLU,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Sigmoid,
    nn.Tanh,
    nn.Mish,
)

Layer = TypeVar("Layer", bound=nn.Conv2d | nn.Conv1d | nn.Linear)


@dataclass(frozen=True)
class Edit:
    """Replace the submodule with the dotted `name` by `module`."""

    name: str
    module: nn.Module


def replace_submodule(root: nn.Module, name: str, new: nn.Module) -> None:
    """Put `new` in place of the submodule with the dotted `name`."""
    parent, _, leaf = name.rpartition(".")
    setattr(root.get_submodule(parent), leaf, new)


# --- what is plain -------------------------------------------------------------------------------


def is_plain_linear(layer: nn.Module | None) -> TypeGuard[nn.Linear]:
    """Whether `layer` computes exactly nn.Linear's forward with the weight that it holds."""
    if not isinstance(layer, nn.Linear) or hasattr(layer, "parametrizations"):
        return False
    # timm's own Linear differs only under autocast inside torch.jit.script.
    return type(layer).forward is nn.Linear.forward or (
        type(layer).__module__ == "timm.layers.linear"
    )


def is_plain_conv(layer: nn.Module | None, *, any_padding: bool = False) -> TypeGuard[nn.Conv2d]:
    """Whether `layer` computes exactly nn.Conv2d's forward with the weight that it holds.

    Padding has to be zeros, given in rows and columns, unless `any_padding`.
    """
    return (
        isinstance(layer, nn.Conv2d)
        and type(layer).forward is nn.Conv2d.forward
        and type(layer)._conv_forward is nn.Conv2d._conv_forward
        and not hasattr(layer, "parametrizations")
        and (any_padding or (layer.padding_mode == "zeros" and not isinstance(layer.padding, str)))
    )


def takes_factors(layer: nn.Module | None) -> TypeGuard[nn.Conv2d | nn.Conv1d | nn.Linear]:
    """Whether a factor per output of `layer` can be folded into its weight."""
    if isinstance(layer, nn.Conv1d):
        plain = type(layer).forward is nn.Conv1d.forward
        return plain and not hasattr(layer, "parametrizations")
    return is_plain_conv(layer, any_padding=True) or is_plain_linear(layer)


# --- copies --------------------------------------------------------------------------------------


def with_weights(layer: Layer, weight: Tensor, bias: Tensor | None) -> Layer:
    """Return a copy of `layer` with another weight and bias; `layer` keeps its own.

    Everything else is shared. Values are rounded to the data type of the old weight.
    """
    new = copy.copy(layer)
    new._parameters = dict(layer._parameters)

    def parameter(value: Tensor) -> nn.Parameter:
        return nn.Parameter(value.detach().to(layer.weight.dtype), requires_grad=False)

    new.weight = parameter(weight)
    new.register_parameter("bias", None if bias is None else parameter(bias))
    new.eval()
    return new


def scaled_outputs(layer: Layer, factors: Tensor) -> Layer:
    """Return a copy of `layer` whose outputs are multiplied by `factors`, one per output.

    Products are computed in float64.
    """
    exact = factors.detach().double()
    shape = (-1, *[1] * (layer.weight.dim() - 1))
    bias = None if layer.bias is None else layer.bias.detach().double() * exact
    return with_weights(layer, layer.weight.detach().double() * exact.view(shape), bias)


def part_of(layer: nn.Linear | nn.Conv2d, outputs: slice, inputs: slice, bias: bool) -> nn.Module:
    """Return a layer from some inputs to some outputs, over a view of the same weights.

    `bias` says whether to keep the bias of these outputs. A convolution must have one group.
    """
    weight = layer.weight.detach()[outputs, inputs]
    partial_bias = layer.bias.detach()[outputs] if bias and layer.bias is not None else None
    new: nn.Linear | nn.Conv2d
    if isinstance(layer, nn.Linear):
        new = nn.Linear(
            weight.shape[1], weight.shape[0], bias=partial_bias is not None, device="meta"
        )
    else:
        new = nn.Conv2d(
            weight.shape[1],
            weight.shape[0],
            cast(tuple[int, int], layer.kernel_size),
            stride=cast(tuple[int, int], layer.stride),
            padding=cast(tuple[int, int], layer.padding),
            dilation=cast(tuple[int, int], layer.dilation),
            bias=partial_bias is not None,
            device="meta",
        )
    new.weight = nn.Parameter(weight, requires_grad=False)
    if partial_bias is not None:
        new.bias = nn.Parameter(partial_bias, requires_grad=False)
    return new.eval()
