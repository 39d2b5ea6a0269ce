"""Real weights and images of the default model and of Fashion-MNIST, for tests and benchmarks."""

from __future__ import annotations

import gzip
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from exporter.quantize.training_data import TrainingSet

FASHION_CHECKPOINT = Path(__file__).with_name("data") / "fashion_vit.safetensors"
FASHION_DATA = Path("/usr/share/datasets/fashion-mnist")
FASHION_MEAN, FASHION_STD = 0.2860, 0.3530


def fashion_images(split: str, folder: Path = FASHION_DATA) -> tuple[Tensor, Tensor]:
    """Read Fashion-MNIST's `train` or `test` split as (uint8 N,1,28,28, int64 N).

    Raises FileNotFoundError that names the Debian package when the data is not installed.
    """
    prefix = {"train": "train", "test": "t10k"}[split]
    arrays = []
    for name, header in (("images-idx3", 16), ("labels-idx1", 8)):
        path = folder / f"{prefix}-{name}-ubyte.gz"
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: apt-get install dataset-fashion-mnist")
        raw = bytearray(gzip.decompress(path.read_bytes())[header:])
        arrays.append(torch.frombuffer(raw, dtype=torch.uint8))
    return arrays[0].view(-1, 1, 28, 28), arrays[1].long()


def fashion_normalize(images: Tensor) -> Tensor:
    """Turn uint8 pixels into the network's normalized float input."""
    return (images.float() / 255.0 - FASHION_MEAN) / FASHION_STD


def fashion_vit(checkpoint: Path = FASHION_CHECKPOINT, *, load: bool = True) -> nn.Module:
    """Build the Fashion-MNIST ViT (patch 7, dim 128, depth 6, heads 4), in eval mode."""
    model: nn.Module = timm.models.vision_transformer.VisionTransformer(
        img_size=28, patch_size=7, in_chans=1, num_classes=10, embed_dim=128, depth=6, num_heads=4
    )
    if load:
        from safetensors.torch import load_file

        model.load_state_dict({k: v.float() for k, v in load_file(checkpoint).items()})
    return model.eval()


def efficientnet_lite0() -> nn.Module:
    """Load timm's tf_efficientnet_lite0 with the ImageNet weights of the installed package."""
    from exporter.source import load_source

    return load_source("tf_efficientnet_lite0").module


def tensors_as_training_set(
    images: Tensor, labels: Tensor | None, *, validation: int
) -> TrainingSet:
    """Wrap normalized `images` (N,C,H,W) in memory; the last `validation` ones validate."""
    count = len(images)
    return TrainingSet(
        load=lambda indices: images[list(indices)],
        count=count,
        labels=labels,
        validation=tuple(range(count - validation, count)),
    )
