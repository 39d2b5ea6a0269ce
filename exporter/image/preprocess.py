"""timm's evaluation transform as a scriptable module: uint8 HWC photo in, network input out.

It is part of the graph so that no app holds a size, a mean or a resize of its own, and so that the
network sees the same pixels on every machine, to the bit (see `resample`). Only what the crop will
show is computed, in strips: a 12-megapixel photo is never whole in memory as float.

The reference is `timm.data.create_transform(is_training=False)` on a Pillow image. Photos stay
within 1 gray level of it; `measure_preprocessing` measures that for every report. What is left
between the two: Pillow's weights have 22 bits where ours have 15, and Pillow 13 resizes some tall
or squashed pictures height first, up to 4 levels apart (8 in the tests, on drawn sizes).
"""

# No `from __future__ import annotations` here: TorchScript reads attribute types as objects.
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor, nn

from runtime_check.artifact.geometry import Geometry
from runtime_check.artifact.metadata import Preprocessing
from runtime_check.reference.reference import pillow_preprocess

from ..errors import UsageError
from .resample import Resample

INTERPOLATIONS = ("bicubic", "bilinear")
# Channels of a photo, and what Pillow calls it then.
COLORS: dict[int, Literal["L", "RGB", "RGBA"]] = {1: "L", 3: "RGB", 4: "RGBA"}
MIN_SIDE = 8
MAX_SIDE = 8192
# timm resizes before it crops, so an 8 x 8192 strip becomes 256 x 262144 pixels on the way. Up to
# this ratio the way costs at most 25 MB.
MAX_ASPECT = 32


class Preprocess(nn.Module):
    """Resize, crop, scale and normalize one image inside the graph.

    Input: uint8 `[H, W, C]`, RGB, gray (C is 1) or RGBA (4), sides within `min_side..max_side`;
    anything else raises with a message that says what it is. Output: float `[1, C, h, w]`,
    normalized.
    """

    mode: Final[str]
    min_side: Final[int]
    max_side: Final[int]
    max_aspect: Final[int]
    scale_h: Final[int]
    scale_w: Final[int]
    crop_h: Final[int]
    crop_w: Final[int]
    channels: Final[int]
    fill: Final[list[int]]
    mean: Tensor
    std: Tensor

    def __init__(self, spec: Preprocessing, *, min_side: int, max_side: int) -> None:
        super().__init__()
        if spec.interpolation not in INTERPOLATIONS:
            raise UsageError(
                f"Preprocessing in the graph knows {' and '.join(INTERPOLATIONS)} interpolation, "
                f"not {spec.interpolation!r}. Export with `--input tensor`, or override with "
                "`--interpolation bicubic`."
            )
        if spec.input_size[0] not in COLORS:
            raise UsageError(
                "Preprocessing in the graph takes RGB, gray or RGBA photos; this model wants "
                f"{spec.input_size[0]} channels. Export it with `--input tensor`."
            )
        self.resample = Resample(
            bicubic=spec.interpolation == "bicubic", channels=spec.input_size[0]
        )
        self.mode = spec.crop_mode
        self.min_side = min_side
        self.max_side = max_side
        self.max_aspect = MAX_ASPECT
        self.channels, self.crop_h, self.crop_w = spec.input_size
        self.scale_h = math.floor(self.crop_h / spec.crop_pct)
        self.scale_w = math.floor(self.crop_w / spec.crop_pct)
        if min(self.scale_h, self.scale_w) < 1:
            raise UsageError(
                f"--crop-pct {spec.crop_pct:g} of {self.crop_h} x {self.crop_w} pixels resizes "
                "photos to nothing. Give a smaller one."
            )
        self.fill = [round(255 * value) for value in spec.mean]
        # Scaling to [0, 1] is folded in: (x / 255 - mean) / std.
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, -1, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(spec.std).view(1, -1, 1, 1) * 255)

    def geometry(self) -> Geometry:
        """Say the same of a photo's place as the contract does."""
        square = self.scale_h == self.scale_w
        resize: dict[str, Literal["cover", "fit", "stretch"]] = {
            "center": "cover", "border": "fit", "squash": "stretch"
        }  # fmt: skip
        return Geometry(
            resize=resize[self.mode],
            resize_height=self.scale_h,
            resize_width=self.scale_w,
            network_height=self.crop_h,
            network_width=self.crop_w,
            rounding="down" if self.mode == "center" and square else "even",
        )

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size to resize to, as torchvision's Resize and timm's ResizeKeepRatio do."""
        if self.mode == "squash":
            return self.scale_h, self.scale_w
        if self.mode == "center" and self.scale_h == self.scale_w:
            # torchvision: the short edge becomes `scale`, the long one is truncated.
            if width <= height:
                return int(self.scale_w * height / width), self.scale_w
            return self.scale_h, int(self.scale_h * width / height)
        ratio_h = height / self.scale_h
        ratio_w = width / self.scale_w
        ratio = max(ratio_h, ratio_w) if self.mode == "border" else min(ratio_h, ratio_w)
        # Very long images: the short edge must not vanish.
        target_h = max(1, int(round(height / ratio)))  # noqa: RUF046  a float in TorchScript
        target_w = max(1, int(round(width / ratio)))  # noqa: RUF046  as above
        return target_h, target_w

    def window(self, size: int, crop: int) -> tuple[int, int]:
        """Return where the center crop of one axis starts, and how long it is, `crop` at most."""
        return self.halve(max(0, size - crop)), min(size, crop)

    def resize(self, image: Tensor, height: int, width: int) -> Tensor:
        """Resize uint8 `[H, W, C]` to `[height, width]` and return the center the network sees.

        Float `[1, C, h, w]`, at most the network's size.
        """
        top, tall = self.window(height, self.crop_h)
        left, wide = self.window(width, self.crop_w)
        if self.channels == 4 and height == image.shape[0] and width == image.shape[1]:
            # Pillow leaves a picture of the right size as it is, invisible colors and all.
            window = image[top : top + tall, left : left + wide].to(torch.float32)
            return window.unsqueeze(0).permute(0, 3, 1, 2)
        center: Tensor = self.resample(image, height, width, top, left, tall, wide)
        # The batch first: added after the colors have moved, its stride would be 3, and torch
        # would no longer see that the channels are innermost.
        return center.unsqueeze(0).permute(0, 3, 1, 2)

    @torch.jit.export
    def corner(self, height: int, width: int) -> tuple[int, int]:
        """Return top and left of the network's picture on a photo resized to `height` x `width`.

        Negative where the picture is padded.
        """
        top, tall = self.window(height, self.crop_h)
        left, wide = self.window(width, self.crop_w)
        return top - (self.crop_h - tall) // 2, left - (self.crop_w - wide) // 2

    def pad(self, image: Tensor) -> Tensor:
        """Put float `[1, C, h, w]` into the middle of the network's size."""
        height, width = image.shape[2], image.shape[3]
        if height == self.crop_h and width == self.crop_w:
            return image
        # torchvision's CenterCrop pads with black, timm's CenterCropOrPad with the mean.
        canvas = torch.zeros(
            [1, self.channels, self.crop_h, self.crop_w], dtype=image.dtype, device=image.device
        )
        if self.mode == "border":
            for channel in range(self.channels):
                canvas[:, channel] = float(self.fill[channel])
        top, left = (self.crop_h - height) // 2, (self.crop_w - width) // 2
        canvas[:, :, top : top + height, left : left + width] = image
        return canvas

    def halve(self, gap: int) -> int:
        """Return `round(gap / 2)` with halves to even, as torchvision does, in integers."""
        down = gap // 2
        return down + 1 if gap % 2 == 1 and down % 2 == 1 else down

    def forward(self, image: Tensor) -> Tensor:
        """Turn uint8 `[H, W, C]` into the network's float `[1, C, h, w]`."""
        if image.dim() != 3 or image.shape[2] != self.channels:
            raise ValueError(
                f"image must be height x width x {self.channels} (HWC), but its shape is "
                f"{image.shape}"
            )
        if image.dtype != torch.uint8:
            raise ValueError("image must be uint8, 0 to 255")
        height, width = image.shape[0], image.shape[1]
        if min(height, width) < self.min_side or max(height, width) > self.max_side:
            raise ValueError(
                f"image is {height} x {width} pixels, but each side must be within "
                f"{self.min_side}..{self.max_side}"
            )
        if max(height, width) > self.max_aspect * min(height, width):
            raise ValueError(
                f"image is {height} x {width} pixels, but one side may be at most "
                f"{self.max_aspect} times the other"
            )
        target_h, target_w = self.target_size(height, width)
        levels = self.pad(self.resize(image, target_h, target_w)).to(self.mean.dtype)
        return (levels - self.mean) / self.std


@dataclass(frozen=True, kw_only=True)
class PreprocessingDifference:
    """How far the in-graph preprocessing is from Pillow + timm, in gray levels (0 to 255)."""

    images: int
    max_levels: float
    mean_levels: float
    differing: float  # share of values that differ by half a level or more


def measure_preprocessing(
    spec: Preprocessing, images: Sequence[np.ndarray], *, preprocess: nn.Module | None = None
) -> PreprocessingDifference:
    """Compare in-graph preprocessing with Pillow + timm on uint8 `[H, W, C]` images."""
    module = preprocess or Preprocess(spec, min_side=1, max_side=1 << 16)
    std = torch.tensor(spec.std).view(1, -1, 1, 1) * 255
    worst, total, differing, count = 0.0, 0.0, 0, 0
    for image in images:
        expected = pillow_preprocess(spec, image)
        actual = module(torch.from_numpy(image.copy()))
        levels = ((expected - actual) * std).abs()
        worst = max(worst, float(levels.max()))
        total += float(levels.sum())
        differing += int((levels >= 0.5).sum())
        count += levels.numel()
    return PreprocessingDifference(
        images=len(images),
        max_levels=worst,
        mean_levels=total / max(1, count),
        differing=differing / max(1, count),
    )
