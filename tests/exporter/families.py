"""Timm's awkward families, small: the operators count, not the width.

At any size, `optimize_for_mobile` of a trace is wrong for `resnet`, `tiny_vit`, `hrnet` and
`levit`; `hrnet`, `hiera`, `convmixer`, `selecsls` and `naflexvit` do not script as their authors
wrote them, and `mobilenetv3` cannot be traced symbolically. `tests/benchmarks/families.md` has the
whole sweep at full size.
"""

from __future__ import annotations

from collections.abc import Callable

import timm
import torch
from timm.models import get_pretrained_cfg
from timm.models.convmixer import ConvMixer
from torch import nn

from runtime_check.testing.models import randomize_batch_norm


def _timm(name: str, **overrides: object) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, exportable=True, scriptable=True, **overrides)


def _convmixer() -> nn.Module:
    """`convmixer_768_32` with 64 channels and 4 layers; its factory takes no other sizes."""
    model = ConvMixer(dim=64, depth=4, kernel_size=7, patch_size=7, act_layer=nn.ReLU)
    model.pretrained_cfg = get_pretrained_cfg("convmixer_768_32").to_dict()
    return model


AWKWARD: dict[str, Callable[[], nn.Module]] = {
    "resnet": _timm("test_resnet"),
    "tiny_vit": _timm("tiny_vit_5m_224", depths=(1, 1, 1, 1)),
    "hrnet": _timm("hrnet_w18_small"),
    "hiera": _timm("hiera_tiny_224", stages=(1, 1, 1, 1)),
    "convmixer": _convmixer,
    "levit": _timm("levit_128s"),
    "visformer": _timm("visformer_tiny"),
    "naflexvit": _timm("naflexvit_base_patch16_parfac_gap", depth=2, embed_dim=96, num_heads=3),
    "selecsls": _timm("selecsls42"),
    "mobilenetv3": _timm("mobilenetv3_small_050"),
}


@torch.no_grad()
def untrained(model: nn.Module, *, seed: int = 0) -> nn.Module:
    """Give an untrained model statistics and weights under which every error shows, in place.

    Batch norms of 0 and 1 hide errors in folding them; classifiers that start at zero make all
    outputs equal.
    """
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.dim() > 1 and not parameter.any():
            parameter.normal_(std=0.05, generator=generator)
    return randomize_batch_norm(model, seed=seed).eval()
