from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from exporter.image.batches import network_pixels, normalize
from exporter.image.preprocess import Preprocess
from runtime_check.artifact.metadata import Preprocessing


@pytest.mark.parametrize(
    ("channels", "mode", "crop_pct"),
    [(3, "center", 0.875), (1, "center", 1.0), (4, "squash", 1.0), (3, "border", 1.0)],
)
def test_many_photos_are_what_each_is_alone(channels: int, mode: Any, crop_pct: float) -> None:
    """To the bit, whatever the sizes: the same, a different one, and the network's own."""
    spec = Preprocessing(
        input_size=(channels, 32, 40),
        interpolation="bicubic",
        crop_pct=crop_pct,
        crop_mode=mode,
        mean=(0.4,) * channels,
        std=(0.3,) * channels,
        in_graph=True,
    )
    preprocess = Preprocess(spec, min_side=8, max_side=8192).eval()
    random = np.random.default_rng(0)
    sizes = [(50, 61), (32, 40), (50, 61), (9, 90), (50, 61)]
    photos = [random.integers(0, 256, (*size, channels), np.uint8) for size in sizes]
    pixels = network_pixels(preprocess, photos)
    assert pixels.dtype == torch.uint8
    alone = torch.cat([preprocess(torch.from_numpy(photo)) for photo in photos])
    assert torch.equal(normalize(preprocess, pixels), alone)
