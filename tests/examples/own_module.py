"""Your own module, with labels: as an instance, and by the name of its factory.

    python tests/examples/own_module.py [FOLDER]

The module is a vision transformer with six blocks, trained on Fashion-MNIST, for color photos of
clothes. The exporter knows nothing of it but what is said here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

import exporter

DATA = Path(__file__).resolve().parents[1] / "data"
LABELS = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat"]
LABELS += ["Sandal", "Shirt", "Sneaker", "Bag", "Boot"]
MEAN, STD = 0.2860, 0.3530


class ClothesClassifier(nn.Module):
    """Classify normalized color images, N,3,28,28; the network itself is of gray ones."""

    def __init__(self) -> None:
        super().__init__()
        self.network = VisionTransformer(
            img_size=28,
            patch_size=7,
            in_chans=1,
            num_classes=10,
            embed_dim=128,
            depth=6,
            num_heads=4,
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.mean(1, keepdim=True))


def make() -> nn.Module:
    """Build the module with its weights: the factory. It takes no arguments."""
    module = ClothesClassifier()
    weights = load_file(DATA / "fashion_vit.safetensors")
    module.network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return module.eval()


def picture(index: int) -> tuple[np.ndarray, str]:
    """Return a test image as a camera would give it, uint8 RGB [H, W, 3], and what it shows."""
    with np.load(DATA / "fashion_sample.npz") as arrays:
        gray, label = arrays["test"][index], arrays["test_labels"][index]
    return gray[..., None].repeat(3, axis=2), LABELS[label]


def main(out: str = "build") -> None:
    # An instance. Saying how images are normalized puts preprocessing into the file, and labels
    # make it a classifier: a photo in, one probability per label out.
    options = {
        "labels": LABELS,
        "input_shape": (1, 3, 28, 28),
        "preprocessing": exporter.PreprocessingChoice(mean=(MEAN,) * 3, std=(STD,) * 3),
        "out": out,
    }
    artifact = exporter.export(make(), name="clothes", **options)
    for index in range(3):
        pixels, label = picture(index)
        probability, best = artifact(pixels).max(0)
        print(f"{label}: {artifact.metadata.output.labels[best]} {probability:.1%}")

    # The factory by name, as the command line takes it: `python -m exporter export
    # own_module:make`. The name goes into the file, so that `python -m runtime_check` can build
    # the module again.
    named = exporter.export("own_module:make", name="clothes_by_name", **options)
    print(f"{named.path.name}: {named.metadata.provenance.model}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
