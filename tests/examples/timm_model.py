"""A timm model to a verified file, and back.

    python tests/examples/timm_model.py [FOLDER]

Exports EfficientNet-Lite0 with its ImageNet weights, classifies a photo with the file, and opens
the file again as another program would.
"""

from __future__ import annotations

import sys

import torch
from PIL import Image

import exporter
from exporter.image.samples import photo_path


def main(out: str = "build") -> None:
    # One call: rewrite, capture, optimize, save, and compare the saved file with eager.
    artifact = exporter.export("tf_efficientnet_lite0", out=out)
    saved = artifact.report.ledger[-1]
    print(f"{artifact.path.name}: {saved.mb:.1f} MB, max |d| {saved.max_abs:.1e} from eager")

    # The result is callable like the module. It takes an RGB photo of any size, as an image or as
    # uint8 [H, W, 3]: resize, crop, normalization and softmax are in the file.
    cat = Image.open(photo_path("cat"))
    probabilities = artifact(cat)
    for probability, index in zip(*probabilities.topk(3), strict=True):
        print(f"{probability:6.1%}  {artifact.metadata.output.labels[index]}")

    # Later, or in another program, the path is enough.
    again = exporter.load(artifact.path)
    assert torch.equal(again(cat), probabilities)
    print(f"loaded again: {again.metadata.name}, {len(again.metadata.operators)} operators")


if __name__ == "__main__":
    main(*sys.argv[1:2])
