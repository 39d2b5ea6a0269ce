"""Fold batch norms into the layers before them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import nn

from .layers import Edit, takes_factors, with_weights
from .watch import Example, watch

Normalized = nn.Conv2d | nn.Conv1d | nn.Linear


def _after_norm(norm: nn.Module) -> nn.Module | None:
    """Return what remains of a batch norm once its affine part is folded; None if unknown."""
    if type(norm).forward in (nn.BatchNorm2d.forward, nn.BatchNorm1d.forward):
        return nn.Identity()
    # timm's BatchNormAct2d: norm, dropout, activation.
    drop, act = getattr(norm, "drop", None), getattr(norm, "act", None)
    if isinstance(drop, nn.Module) and isinstance(act, nn.Module):
        rest = [layer for layer in (drop, act) if not isinstance(layer, nn.Identity)]
        return rest[0] if len(rest) == 1 else nn.Sequential(*rest) if rest else nn.Identity()
    return None


def _folded(layer: Normalized, norm: Any) -> nn.Module:
    """Return a copy of `layer` with the statistics of `norm` folded in, computed in float64."""
    factors = torch.rsqrt(norm.running_var.double() + norm.eps)
    if norm.weight is not None:
        factors = factors * norm.weight.double()
    mean = norm.running_mean.double()
    bias = layer.bias.double() if layer.bias is not None else torch.zeros_like(mean)
    shift = norm.bias.double() if norm.bias is not None else 0.0
    shape = (-1, *[1] * (layer.weight.dim() - 1))
    weight = layer.weight.double() * factors.view(shape)
    return with_weights(layer, weight, (bias - mean) * factors + shift)


def fold_batch_norm(module: nn.Module, example: Example) -> list[Edit]:
    """Fold every batch norm into the convolution or linear layer before it.

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
    layers = {name: child for name, child in module.named_modules() if takes_factors(child)}
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
