"""The preprocessing of `preprocess` on many photos at a time: 8-bit pixels of the network's size.

What a training run reads again and again is kept as these pixels, a quarter of float32's bytes.
`normalize` makes the network's input of them; both together give what `Preprocess` gives, to the
bit, because every sum of the resize is exact (see `resample`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .preprocess import Preprocess
from .resample import Resample

# Pixels resized in one go; larger photos gain nothing by company.
_TOGETHER = 1 << 21


def network_pixels(preprocess: Preprocess, photos: Sequence[np.ndarray]) -> Tensor:
    """Resize and crop uint8 `[H, W, C]` photos of any sizes; return uint8 `[N, C, h, w]`."""
    size = (preprocess.channels, preprocess.crop_h, preprocess.crop_w)
    pixels = torch.empty((len(photos), *size), dtype=torch.uint8)
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, photo in enumerate(photos):
        by_shape.setdefault(photo.shape, []).append(index)
    for shape, indices in by_shape.items():
        at_once = max(1, _TOGETHER // (shape[0] * shape[1]))
        for start in range(0, len(indices), at_once):
            some = indices[start : start + at_once]
            batch = torch.from_numpy(np.stack([photos[i] for i in some]))
            pixels[some] = _levels(preprocess, batch).to(torch.uint8)
    return pixels


def normalize(preprocess: Preprocess, pixels: Tensor) -> Tensor:
    """Turn uint8 `[N, C, h, w]` of the network's size into its float input."""
    mean, std = preprocess.mean.to(pixels.device), preprocess.std.to(pixels.device)
    return (pixels.to(preprocess.mean.dtype) - mean) / std


@torch.no_grad()
def _levels(preprocess: Preprocess, images: Tensor) -> Tensor:
    """Resize uint8 `[N, H, W, C]` of one size; float `[N, C, h, w]`, whole numbers."""
    height, width = preprocess.target_size(images.shape[1], images.shape[2])
    top, tall = preprocess.window(height, preprocess.crop_h)
    left, wide = preprocess.window(width, preprocess.crop_w)
    if preprocess.channels == 4 and (height, width) == tuple(images.shape[1:3]):
        # As in `Preprocess.resize`: invisible colors stay.
        levels = images[:, top : top + tall, left : left + wide].float()
    else:
        levels = _resample(preprocess.resample, images, (height, width), (top, left), (tall, wide))
    levels = levels.permute(0, 3, 1, 2)
    if tuple(levels.shape[2:]) == (preprocess.crop_h, preprocess.crop_w):
        return levels
    return torch.cat([preprocess.pad(image) for image in levels.split(1)])


def _resample(
    resample: Resample,
    images: Tensor,
    target: tuple[int, int],
    corner: tuple[int, int],
    window: tuple[int, int],
) -> Tensor:
    """Do what `Resample.forward` does, for `[N, H, W, C]`: rows of all photos, then columns."""
    count, rows = images.shape[:2]
    starts, reach = resample.starts(rows, target[0], corner[0], window[0])
    stacked = images.flatten(0, 1)
    narrow = resample.across(stacked, target[1], corner[1], window[1], 0, count * rows)
    narrow = narrow.view(count, rows, -1)
    weights = resample.weights(starts, reach, rows, target[0], corner[0], window[0])
    parts = [weights[i] @ narrow[:, at : at + reach] for i, at in enumerate(starts)]
    levels = resample.gray_levels(torch.cat(parts, 1))[:, : window[0]]
    levels = levels.reshape(count * window[0], -1, resample.channels)[:, : window[1]]
    if resample.channels == 4:
        levels = resample.unweighted(levels)
    return levels.reshape(count, window[0], window[1], resample.channels)
