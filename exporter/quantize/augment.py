"""timm's augmentations on pixels that have the network's size already.

Every image's chances follow from the seed, the epoch and its index, so that neither the number of
processes nor an interruption changes what is trained on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import TrainingDataError
from ..image.batches import normalize
from ..image.preprocess import COLORS, Preprocess
from ..training import Augmentation

# The least share of a picture that a crop keeps: fine-tuning is about rounding, not about objects
# that are hardly there (timm trains from nothing with 0.08).
_LEAST_CROP = 0.7
# RandAugment of magnitude 6 with a spread of a half.
_RAND = "rand-m6-mstd0.5-inc1"


@dataclass(frozen=True)
class Augment:
    """Crops of 70 to 100 % and flips (`light`), and RandAugment too (`rand`).

    Raises TrainingDataError for `rand` on other than RGB: its operations are of colors.
    """

    kind: Augmentation
    preprocess: Preprocess
    seed: int

    def __post_init__(self) -> None:
        if self.kind == "rand" and self.preprocess.channels != 3:
            raise TrainingDataError(
                "--augment rand turns colors, and these images are not RGB. Use --augment light."
            )

    @cached_property
    def _transform(self) -> Any:
        from timm.data import create_transform

        made = self.preprocess
        return create_transform(
            (made.channels, made.crop_h, made.crop_w),
            is_training=True,
            use_prefetcher=True,  # ends in uint8, not in floats
            scale=(_LEAST_CROP, 1.0),
            hflip=0.5,
            color_jitter=None,
            auto_augment=_RAND if self.kind == "rand" else None,
            mean=tuple((made.mean / 255).flatten().tolist()),
            interpolation="bilinear",
        )

    def __call__(self, pixels: Tensor, indices: Sequence[int], epoch: int) -> Tensor:
        """Augment uint8 `[N, C, h, w]`; return the network's float input of the same shape."""
        before = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
        try:
            made = [
                self._one(image, (self.seed * 1_000_003 + epoch) * 1_000_003 + index)
                for image, index in zip(pixels, indices, strict=True)
            ]
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
            torch.random.set_rng_state(before[2])
        return normalize(self.preprocess, torch.stack(made))

    def _one(self, image: Tensor, seed: int) -> Tensor:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed % 2**63)
        channels = self.preprocess.channels
        array = image.permute(1, 2, 0).numpy()
        picture = Image.fromarray(array[..., 0] if channels == 1 else array, COLORS[channels])
        return torch.from_numpy(np.asarray(self._transform(picture)).reshape(image.shape))
