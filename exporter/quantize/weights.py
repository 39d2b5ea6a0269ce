"""Weights in int8: scales, codes, and what their rounding does to a layer's outputs.

Rounding one weight up or down is an error that the weights not yet rounded can make up for, as
far as their inputs go together on the calibration images. That is GPTQ (arXiv 2210.17323), here
for Conv2d; it needs the second moments of the layer's inputs and one Cholesky factorization. The
kernels and the file stay what they were: only codes change.

Linear layers are rounded to the nearest code: in the ViTs of RESULTS.md nearly all int8 noise is
that of activations.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from .straight_through import round_to_grid

SMALLEST_WEIGHT_SCALE = 2.0**-20
# Second moments are kept for so many inputs at a time: a convolution of 512 channels and 3x3 taps
# would need 85 MB of them, and inputs far apart in it have little to do with each other.
_BLOCK = 1024
# Columns rounded before their errors go to the rest of the block: keeps both in cache.
_PANEL = 64
# Output pixels whose inputs are taken from one image, and in all.
_ROWS_PER_IMAGE = 1024
_ROWS = 64 * _ROWS_PER_IMAGE
# Added to the moments' diagonal, in parts of its mean. The paper has 0.01 for language models, but
# images to calibrate on are few.
_DAMPING = 0.05


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
    return round_to_grid(weight, scales.view(-1, *(1,) * (weight.dim() - 1)), -127, 127)


@cache
def _zeros(count: int) -> Tensor:
    # One storage for all layers of a size, so that a saved file holds it once.
    return torch.zeros(count, dtype=torch.long)


def quantized_weight(weight: Tensor, scales: Tensor) -> Tensor:
    """Return `weight` as a qint8 tensor with codes -127..127 on the grid of `scales`."""
    # torch's quantize saturates at -128; cutting the weight first keeps the grid symmetric.
    shape = (-1,) + (1,) * (weight.dim() - 1)
    limit = 127.0 * scales.view(shape) if len(scales) > 1 else 127.0 * scales.reshape(())
    cut = torch.minimum(torch.maximum(weight.detach(), -limit), limit)
    if len(scales) > 1:
        zeros = _zeros(len(scales))
        return torch.quantize_per_channel(cut, scales.double(), zeros, 0, torch.qint8)
    return torch.quantize_per_tensor(cut, float(scales), 0, torch.qint8)


def nearest_codes(weight: Tensor, scales: Tensor) -> Tensor:
    """Return the int8 codes, -127..127, nearest to `weight`; one scale, or one per output."""
    by_output = scales.view(-1, *(1,) * (weight.dim() - 1))
    return (weight.detach() / by_output).round().clamp(-127, 127).to(torch.int8)


def mean_effect(layer: nn.Module, error: Tensor, inputs: Tensor) -> Tensor:
    """Return by how much an `error` of the weight lowers each output channel in the mean.

    `inputs` is the mean of each input channel. Source: arXiv 1906.04721, section 4.2.1.
    """
    if not isinstance(layer, nn.Conv2d):
        shift: Tensor = error @ inputs
        return shift
    taps = error.sum((2, 3)).view(layer.groups, -1, error.shape[1])
    return torch.einsum("goi,gi->go", taps, inputs.view(layer.groups, -1)).flatten()


def _some(count: int) -> Tensor:
    """Choose at most `_ROWS_PER_IMAGE` of `count` rows, the same ones every time."""
    if count <= _ROWS_PER_IMAGE:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:_ROWS_PER_IMAGE]


def _patches(layer: nn.Conv2d, image: Tensor) -> Tensor:
    """Return what some output pixels read: groups x pixels x (channels of a group x taps).

    `image` is C,H,W.
    """
    (kh, kw), (sh, sw), (dh, dw) = layer.kernel_size, layer.stride, layer.dilation
    assert not isinstance(layer.padding, str)
    ph, pw = layer.padding
    padded = nn.functional.pad(image, (pw, pw, ph, ph))
    height = (padded.shape[1] - dh * (kh - 1) - 1) // sh + 1
    width = (padded.shape[2] - dw * (kw - 1) - 1) // sw + 1
    chosen = _some(height * width)
    rows = (chosen // width * sh)[:, None, None] + (torch.arange(kh) * dh)[None, :, None]
    columns = (chosen % width * sw)[:, None, None] + (torch.arange(kw) * dw)[None, None, :]
    rows, columns = rows.to(image.device), columns.to(image.device)
    read = padded[:, rows, columns]  # C, pixels, kh, kw
    grouped = read.view(layer.groups, -1, len(chosen), kh * kw).permute(0, 2, 1, 3)
    return grouped.reshape(layer.groups, len(chosen), -1)


class InputMoments:
    """Sum x x^T over what one convolution reads: groups x block x block, a tensor per block.

    Around zero, not around the mean, though the bias makes up for the mean's error on the
    calibration images: other images have another mean.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.blocks: list[Tensor] = []

    def add(self, layer: nn.Conv2d, x: Tensor) -> None:
        """Take in a float batch N,C,H,W; enough is enough after some 64 images."""
        for image in x.detach():
            if self.rows >= _ROWS:
                return
            rows = _patches(layer, image)
            self.rows += rows.shape[1]
            for index, part in enumerate(rows.split(_BLOCK, dim=2)):
                moment = part.transpose(1, 2) @ part
                if index < len(self.blocks):
                    self.blocks[index] += moment
                else:
                    self.blocks.append(moment)


def compensated_codes(layer: nn.Conv2d, scales: Tensor, moments: InputMoments) -> Tensor:
    """Return int8 codes, -127..127, of least error in the outputs on the inputs seen.

    `scales` is one scale, or one per output. Gives the nearest codes where that is the smaller
    error, or where the moments cannot be factorized (inputs beyond float32's range).
    """
    weight = layer.weight.detach()
    groups = layer.groups
    nearest = nearest_codes(weight, scales)
    grid = scales.expand(len(weight)).reshape(groups, -1, 1)
    wide = weight.reshape(groups, len(weight) // groups, -1)
    done = []
    for part, plain, moment in zip(
        wide.split(_BLOCK, dim=2),
        nearest.reshape(wide.shape).split(_BLOCK, dim=2),
        moments.blocks,
        strict=True,
    ):
        codes = _compensate(part, grid, moment)
        if codes is None or _error(part, grid, codes, moment) > _error(part, grid, plain, moment):
            codes = plain
        done.append(codes)
    return torch.cat(done, dim=2).reshape(weight.shape)


def _error(weight: Tensor, grid: Tensor, codes: Tensor, moment: Tensor) -> float:
    wrong = weight - codes * grid
    return float(((wrong @ moment) * wrong).double().sum())


def _compensate(weight: Tensor, grid: Tensor, moment: Tensor) -> Tensor | None:
    """Round `weight` (groups x outputs x inputs) column by column; None if that fails."""
    inputs = weight.shape[2]
    diagonal = torch.diagonal(moment, dim1=1, dim2=2)
    damping = (_DAMPING * diagonal.mean(1, keepdim=True)).clamp_min(torch.finfo().tiny)
    damped = moment.double() + torch.diag_embed(damping.expand(-1, inputs)).double()
    # Inputs of large power first, while there are many left to make up for their errors.
    order = diagonal.sum(0).argsort(descending=True, stable=True)
    damped = damped[:, order][:, :, order]
    lower, failed = torch.linalg.cholesky_ex(damped)
    if bool(failed.any()):
        return None
    lower, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower))
    if bool(failed.any()):
        return None
    spread = lower.mT.float()  # row i: how an error in i is shared among the inputs after it
    left = weight[:, :, order].clone()
    codes = torch.empty(left.shape, dtype=torch.int8, device=left.device)
    for start in range(0, inputs, _PANEL):
        end = min(start + _PANEL, inputs)
        panel = left[:, :, start:end].clone()
        errors = torch.empty_like(panel)
        for column in range(end - start):
            i = start + column
            exact = panel[:, :, column : column + 1]
            code = (exact / grid).round().clamp(-127, 127)
            codes[:, :, i] = code[:, :, 0]
            error = (exact - code * grid) / spread[:, i : i + 1, i : i + 1]
            errors[:, :, column] = error[:, :, 0]
            panel[:, :, column + 1 :] -= error * spread[:, i : i + 1, i + 1 : end]
        left[:, :, end:] -= errors @ spread[:, start:end, end:]
    return codes[:, :, order.argsort()]
