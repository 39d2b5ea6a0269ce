"""Pillow's resize of 8-bit images as matrix products, the same to the bit on every machine.

Pillow resizes in two passes, width then height, and rounds to 8 bits after each; a float resize in
one go differs from it by up to 20 gray levels on noise. Each value of a pass is a weighted sum of
neighbors, and eight neighboring values share most of theirs: a block of eight columns is one
product with a small matrix, which XNNPACK computes on a phone. torch's own antialiasing kernels
(`_upsample_*_aa`) are scalar on ARM64 and take twice the instructions
(`tests/benchmarks/photo.md`).

The weights are multiples of 2^-15. Every partial sum of such a weight times an 8-bit value is then
a multiple of 2^-15 below 2^9: float32 holds it exactly, so neither the order of summation nor fused
multiplication changes a bit. Pillow's own weights are multiples of 2^-22; rounding ours so that
their running sums are right keeps smooth pictures as close to Pillow as unrounded ones would be.

The weights are computed from the sizes in the graph, with operators that every lite runtime has.
"""

# No `from __future__ import annotations` here: TorchScript reads attribute types as objects.
# Names in the module are written to the file, so respelling one would change its bytes.
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

# A strip of this many pixels is 6 MB as float32: a 12-megapixel photo is never held as float.
STRIP_PIXELS = 1 << 19
# Columns or rows in one product. More of them share fewer weights, so more of the product is zeros;
# that costs an ARM64 core, while x86 would rather have fewer and larger products.
BLOCK = 8
STEPS = 2.0**15


class Resample(nn.Module):
    """Resize a uint8 image as Pillow does, and return a window of the result.

    `bicubic` (Pillow's, a = -0.5) or bilinear, both with antialiasing. Of four `channels` the last
    is alpha: colors are weighted by it, as in Pillow, so that invisible ones do not bleed.
    """

    bicubic: Final[bool]
    channels: Final[int]
    block: Final[int]
    steps: Final[float]
    strip_pixels: int

    def __init__(self, *, bicubic: bool, channels: int = 3) -> None:
        super().__init__()
        self.bicubic = bicubic
        self.channels = channels
        self.block = BLOCK
        self.steps = STEPS
        self.strip_pixels = STRIP_PIXELS

    def taps(self, scale: float) -> float:
        """Return how far from its center, in input values, an output value looks."""
        return max(scale, 1.0) * (2.0 if self.bicubic else 1.0)

    def starts(self, size: int, target: int, first: int, length: int) -> tuple[list[int], int]:
        """Return where each block of outputs starts to read, and how many values it reads.

        The outputs are `first..first + length` of `target`, made of `size` values.
        """
        scale = size / target
        taps = self.taps(scale)
        reach = min(size, int((self.block - 1) * scale + 2.0 * taps) + 2)
        found: list[int] = []
        for output in range(first, first + length, self.block):
            low = int(scale * (output + 0.5) - taps + 0.5)
            found.append(max(0, min(low, size - reach)))
        return found, reach

    def weights(
        self, starts: list[int], reach: int, size: int, target: int, first: int, length: int
    ) -> Tensor:
        """Return the weights of each block, float `[blocks, block, reach]`, multiples of 2^-15.

        The last block repeats the last output where `length` is not a multiple of the block.
        """
        scale = size / target
        output = torch.arange(first, first + len(starts) * self.block, dtype=torch.float64)
        center = (output.clamp(max=float(first + length - 1)) + 0.5) * scale
        start = torch.tensor(starts, dtype=torch.float64)
        value = start.unsqueeze(1) + torch.arange(reach, dtype=torch.float64) + 0.5
        x = (value.unsqueeze(1) - center.view(len(starts), self.block, 1)).abs() / max(scale, 1.0)
        if self.bicubic:
            near = (1.5 * x - 2.5) * x * x + 1.0
            far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
            w = torch.where(x < 1.0, near, torch.where(x < 2.0, far, torch.zeros_like(x)))
        else:
            w = (1.0 - x).clamp(min=0.0)
        running = torch.round((w / w.sum(-1, keepdim=True)).cumsum(-1) * self.steps) / self.steps
        rounded = torch.cat([running[:, :, :1], running[:, :, 1:] - running[:, :, :-1]], 2)
        return rounded.to(torch.float32)

    def gray_levels(self, sums: Tensor) -> Tensor:
        """Round to 8 bits as Pillow does, in place."""
        return sums.add_(0.5).floor_().clamp_(0.0, 255.0)

    def weighted(self, levels: Tensor) -> Tensor:
        """Multiply colors by alpha, `[H, W, 4]`, rounded as Pillow does from RGBA to RGBa."""
        colors, alpha = levels[:, :, :3], levels[:, :, 3:]
        product = colors * alpha + 128.0
        product = torch.floor((torch.floor(product / 256.0) + product) / 256.0)
        return torch.cat([product, alpha], 2)

    def unweighted(self, levels: Tensor) -> Tensor:
        """Divide colors by alpha, `[H, W, 4]`, rounded as Pillow does from RGBa to RGBA."""
        colors, alpha = levels[:, :, :3], levels[:, :, 3:]
        divided = torch.floor(colors * 255.0 / alpha.clamp(min=1.0)).clamp(max=255.0)
        return torch.cat([torch.where(alpha > 0.0, divided, colors), alpha], 2)

    def across(
        self, image: Tensor, target: int, left: int, wide: int, first: int, last: int
    ) -> Tensor:
        """Resize the width of rows `first..last` of uint8 `[H, W, C]`.

        Float `[H, columns x C]`: columns `left..left + wide` of `target`, some more to fill the
        last block, and zeros where no row was asked for.
        """
        rows, size, channels = image.shape[0], image.shape[1], self.channels
        starts, reach = self.starts(size, target, left, wide)
        single = self.weights(starts, reach, size, target, left, wide)
        # Colors alternate in memory. Taking them apart costs more than multiplying by zeros.
        matrix = torch.zeros(
            [len(starts), self.block, channels, reach, channels], dtype=torch.float32
        )
        for color in range(channels):
            matrix[:, :, color, :, color] = single
        matrix = matrix.view(len(starts), self.block * channels, reach * channels)
        narrow = torch.zeros([rows, len(starts) * self.block * channels], dtype=torch.float32)
        west, east = starts[0], starts[len(starts) - 1] + reach
        strip = max(1, self.strip_pixels // (east - west))
        for start in range(first, last, strip):
            stop = min(start + strip, last)
            part = image[start:stop, west:east].to(torch.float32)
            if channels == 4:
                part = self.weighted(part)
            part = part.reshape(stop - start, -1)
            for block in range(len(starts)):
                at = (starts[block] - west) * channels
                sums = linear(part[:, at : at + reach * channels], matrix[block])
                to = block * self.block * channels
                narrow[start:stop, to : to + self.block * channels] = sums
        return self.gray_levels(narrow)

    def forward(
        self,
        image: Tensor,
        height: int,
        width: int,
        top: int,
        left: int,
        tall: int,
        wide: int,
    ) -> Tensor:
        """Resize uint8 `[H, W, C]` to `[height, width]`; return `[tall, wide, C]` of it as float.

        The window starts at row `top` and column `left`. Values are whole, 0 to 255. Only what
        the window is made of is computed.
        """
        rows = image.shape[0]
        starts, reach = self.starts(rows, height, top, tall)
        last = starts[len(starts) - 1] + reach
        narrow = self.across(image, width, left, wide, starts[0], last)
        weights = self.weights(starts, reach, rows, height, top, tall)
        parts: list[Tensor] = []
        for block in range(len(starts)):
            at = starts[block]
            parts.append(torch.mm(weights[block], narrow[at : at + reach]))
        levels = self.gray_levels(torch.cat(parts))[:tall].view(tall, -1, self.channels)[:, :wide]
        return self.unweighted(levels) if self.channels == 4 else levels
