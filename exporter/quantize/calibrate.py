"""Refuse calibration images that would calibrate nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import CalibrationError

# Neighbouring pixels of a photo are alike; of noise they are not. Correlation below this, on
# average over the images, is no photo, drawing or scan. Photos measure 0.9 and more.
_LEAST_CORRELATION = 0.3


def neighbour_correlation(batch: Tensor) -> float:
    """Return the mean correlation between horizontally neighbouring pixels of N,C,H,W images.

    1 for a constant image: flat is no noise.
    """
    left, right = batch[..., :-1].flatten(2).double(), batch[..., 1:].flatten(2).double()
    left = left - left.mean(-1, keepdim=True)
    right = right - right.mean(-1, keepdim=True)
    power = (left.square().sum(-1) * right.square().sum(-1)).sqrt()
    correlation = torch.where(power > 0, (left * right).sum(-1) / power.clamp_min(1e-30), 1.0)
    return float(correlation.mean())


def check_calibration(batches: Sequence[Tensor], *, allow_noise: bool = False) -> int:
    """Return the number of images; raise CalibrationError for none, for NaN, and for noise.

    Noise gives ranges that no photo has. `allow_noise` takes it all the same (random weights,
    a smoke test).
    """
    count = sum(len(batch) for batch in batches)
    if not count:
        raise CalibrationError(
            "There is no calibration image. Static int8 takes its ranges from images: give a "
            "folder of 50 to 500 typical ones (--calibration DIR)."
        )
    for batch in batches:
        if not bool(torch.isfinite(batch).all()):
            raise CalibrationError(
                "A calibration batch holds NaN or infinity. Check the preprocessing."
            )
    if allow_noise or any(batch.dim() != 4 for batch in batches):
        return count
    correlation = sum(neighbour_correlation(b) * len(b) for b in batches) / count
    if correlation < _LEAST_CORRELATION:
        raise CalibrationError(
            f"The calibration images look like noise (neighbouring pixels correlate by "
            f"{correlation:.2f}; photos by 0.9). Ranges taken from noise fit no photo. Give real "
            "images, or ask for noise by name (--calibration noise)."
        )
    if all(float(batch.std()) < 1e-6 for batch in batches):
        raise CalibrationError(
            "All calibration images are one flat colour. Give images of what the model will see."
        )
    return count
