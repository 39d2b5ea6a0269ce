"""The resize as matrix products, against Pillow's own, value by value."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from exporter.image.preprocess import Preprocess
from runtime_check.artifact.metadata import Preprocessing

METHODS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@pytest.mark.parametrize("interpolation", METHODS)
@pytest.mark.parametrize("shape", [(64, 64), (97, 131), (20, 50)])
def test_every_value_is_within_a_level_of_pillow(
    interpolation: str, shape: tuple[int, int]
) -> None:
    """Noise, the hardest there is: a float resize in one go is up to 20 levels off on it."""
    size = 32
    spec = Preprocessing(
        input_size=(3, size, size),
        interpolation=interpolation,
        crop_pct=1.0,
        crop_mode="squash",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        in_graph=True,
    )
    noise = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(noise).resize((size, size), METHODS[interpolation]))
    with torch.no_grad():
        ours = Preprocess(spec, min_side=8, max_side=256)(torch.from_numpy(noise)) * 255
    difference = np.abs(ours[0].permute(1, 2, 0).numpy() - pillow)
    assert difference.max() <= 1.01
    assert (difference > 0.5).mean() < 0.01
