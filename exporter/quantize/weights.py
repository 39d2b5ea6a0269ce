"""Int8 grids of weights: symmetric scales, and weights rounded to them."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

SMALLEST_WEIGHT_SCALE = 2.0**-20


def weight_scales(weight: Tensor, per_channel: bool, *, search: bool = False) -> Tensor:
    """Return symmetric scales for int8 codes -127..127: one, or one per output channel.

    -128 stays unused: XNNPACK wants it so, and the grid is symmetric. With `search` the scale of
    least squared error is taken among those that clip up to 30 % of the largest weight.
    """
    flat = weight.detach().flatten(1) if per_channel else weight.detach().reshape(1, -1)
    largest = (flat.abs().amax(1) / 127.0).clamp_min(SMALLEST_WEIGHT_SCALE)
    if not search:
        return largest
    best, least = largest, torch.full_like(largest, float("inf"))
    for step in range(31):
        scales = largest * (1.0 - 0.01 * step)
        rounded = (flat / scales[:, None]).round().clamp(-127, 127) * scales[:, None]
        error = (rounded - flat).square().sum(1)
        best = torch.where(error < least, scales, best)
        least = torch.minimum(error, least)
    return best.clamp_min(SMALLEST_WEIGHT_SCALE)


def fake_quantize_weight(weight: Tensor, scales: Tensor) -> Tensor:
    """Round `weight` to the int8 grid of `scales` and back; gradients pass straight through."""
    if len(scales) > 1:
        zeros = torch.zeros(len(scales), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, -127, 127)
    return torch.fake_quantize_per_tensor_affine(weight, float(scales), 0, -127, 127)


@cache
def _zeros(count: int) -> Tensor:
    # One storage for all layers of a size, so that a saved file holds it once.
    return torch.zeros(count, dtype=torch.long)


def quantized_weight(weight: Tensor, scales: Tensor) -> Tensor:
    """Return `weight` as a qint8 tensor with codes -127..127 on the grid of `scales`."""
    # torch's quantise saturates at -128; cutting the weight first keeps the grid symmetric.
    shape = (-1,) + (1,) * (weight.dim() - 1)
    limit = 127.0 * scales.view(shape) if len(scales) > 1 else 127.0 * scales.reshape(())
    cut = torch.minimum(torch.maximum(weight.detach(), -limit), limit)
    if len(scales) > 1:
        zeros = _zeros(len(scales))
        return torch.quantize_per_channel(cut, scales.double(), zeros, 0, torch.qint8)
    return torch.quantize_per_tensor(cut, float(scales), 0, torch.qint8)
