"""Ranges of activations: observed, cut, and turned into int8 grids."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.ao.quantization.observer import (
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
)

from ..errors import CalibrationError, NotFinite
from ..recipes import Observer
from .straight_through import round_to_grid

# XNNPACK demands a requantization scale (in x weight / out) of at least 2**-32 and below 256;
# activation scales above 2**-12 keep it there (torch.ao.quantization.qconfig says the same).
SMALLEST_ACTIVATION_SCALE = 2.0**-12
# How activation ranges are cut: as the observer says, never, or where that costs less than half.
Clipping = Literal["observer", "none", "mild"]
CLIPPINGS: tuple[Clipping, ...] = ("observer", "none", "mild")


@dataclass(frozen=True)
class Range:
    """The int8 grid of one tensor: real = scale x (q - zero_point)."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class ObservedGrids:
    """The grid from smallest to largest value seen, and the one that the observer chose."""

    whole: Range
    chosen: Range

    def cut(self, clipping: Clipping) -> Range:
        """Return the grid by one way to cut ranges."""
        # A range cut below half is a few outliers against the rest; which matter more, only the
        # network's output can tell.
        severe = self.chosen.scale < 0.5 * self.whole.scale
        if clipping == "none" or (clipping == "mild" and severe):
            return self.whole
        return self.chosen


def make_observer(kind: Observer, dtype: torch.dtype) -> nn.Module:
    """Build a torch.ao per-tensor affine observer for activations of `dtype`."""
    types: dict[str, Any] = {
        "minmax": MinMaxObserver,
        "moving_average": MovingAverageMinMaxObserver,
        # The histogram keeps the true extremes as well, so every rule can be tried afterwards.
        "histogram": HistogramObserver,
        "auto": HistogramObserver,
    }
    with warnings.catch_warnings():
        # torch.ao announces its own retirement; a user can't act on that.
        warnings.simplefilter("ignore")
        observer: nn.Module = types[kind](
            dtype=dtype, qscheme=torch.per_tensor_affine, eps=SMALLEST_ACTIVATION_SCALE
        )
    return observer


def observed_grids(observer: Any, layer: str) -> ObservedGrids:
    """Turn what an observer of torch.ao saw into grids; `layer` is named in errors.

    Raises CalibrationError when it saw nothing, NotFinite for NaN or infinity.
    """
    low, high = float(observer.min_val.min()), float(observer.max_val.max())
    if low > high:
        raise CalibrationError(
            f"Layer {layer} saw no calibration image, so it has no range. Give images "
            "that reach this layer."
        )
    if not (low > -float("inf") and high < float("inf")):
        raise NotFinite(
            f"Layer {layer} met values from {low} to {high} on the calibration images. "
            "Check its weights and the preprocessing; NaN and infinity have no int8 code."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = observer._calculate_qparams(observer.min_val, observer.max_val)
        chosen = observer.calculate_qparams()
    grids = [Range(float(scale), int(zero)) for scale, zero in (whole, chosen)]
    return ObservedGrids(*grids)


def fake_quantize(
    x: Tensor, grid: Range, dtype: torch.dtype, scale: Tensor | None = None
) -> Tensor:
    """Round activations `x` to `grid` and back; gradients pass inside the range.

    A `scale` that is being learned takes the place of the grid's.
    """
    low, high = (-128, 127) if dtype == torch.qint8 else (0, 255)
    shifted = low - grid.zero_point, high - grid.zero_point
    return round_to_grid(x, grid.scale if scale is None else scale, *shifted)
