"""Say which layers compute exactly what nn.Conv2d and nn.Linear compute."""

from __future__ import annotations

from torch import nn


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
