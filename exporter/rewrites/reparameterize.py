"""Fuse branches that only training needs (RepVGG, MobileOne, FastViT, LeViT)."""

from __future__ import annotations

import copy

from torch import nn

from .layers import Edit
from .watch import Example

_METHODS = ("fuse", "reparameterize", "switch_to_deploy")


def _fused(layer: nn.Module, method: str) -> nn.Module:
    """Fuse a copy, because these methods modify the layer that they are called on."""
    copied = copy.deepcopy(layer)
    result = getattr(copied, method)()
    if isinstance(result, nn.Module):
        return result
    # Its branches are gone: a second call (int8 rewrites its own copy again) would fail.
    vars(copied)[method] = None
    return copied


def reparameterize(module: nn.Module, example: Example) -> list[Edit]:
    """Call the layers' own fusing methods (RepVGG-style branches, LeViT's Linear+BatchNorm).

    Layers with `reparameterize()` fold their training branches into one convolution in place;
    layers with `fuse()` return a replacement. Outermost first, as timm does.
    """
    edits: list[Edit] = []

    def visit(owner: nn.Module, prefix: str) -> None:
        for name, child in owner.named_children():
            method = next((m for m in _METHODS if callable(getattr(child, m, None))), None)
            if method is None:
                visit(child, f"{prefix}{name}.")
            else:
                edits.append(Edit(f"{prefix}{name}", _fused(child, method)))

    visit(module, "")
    return edits
