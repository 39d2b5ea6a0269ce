"""Ranges of activations: what observers saw becomes int8 grids."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from exporter.errors import (
    CalibrationError,
    NotFinite,
)
from exporter.quantize.ranges import (
    ObservedGrids,
    Range,
    fake_quantize,
    make_observer,
    observed_grids,
)


def observer_of(x: Tensor, kind: Any = "auto") -> nn.Module:
    observer = make_observer(kind, torch.qint8)
    observer(x)
    return observer


@given(st.floats(-50, 40), st.floats(0.1, 60))
def test_the_whole_grid_reaches_from_smallest_to_largest(low: float, width: float) -> None:
    x = torch.linspace(low, low + width, 300)
    grid = observed_grids(observer_of(x, "minmax"), "fc").whole
    lowest, highest = (grid.scale * (code - grid.zero_point) for code in (-128, 127))
    assert lowest <= min(low, 0.0) + grid.scale
    assert highest >= max(low + width, 0.0) - grid.scale
    rounded = fake_quantize(x, grid, torch.qint8)
    assert float((rounded - x).abs().max()) <= 0.51 * grid.scale + 1e-6


def test_ways_to_cut_differ_where_few_values_are_far_out() -> None:
    torch.manual_seed(0)
    x = torch.cat([torch.randn(1_000_000), torch.tensor([20.0])])
    grids = observed_grids(observer_of(x), "fc")
    assert grids.chosen.scale < 0.5 * grids.whole.scale  # the outlier is cut off
    assert grids.cut("observer") == grids.chosen
    assert grids.cut("none") == grids.cut("mild") == grids.whole
    tame = ObservedGrids(whole=Range(1.0, 0), chosen=Range(0.6, 0))
    assert tame.cut("mild") == tame.chosen


def test_an_observer_that_saw_nothing_or_no_number_names_its_layer() -> None:
    with pytest.raises(CalibrationError, match="Layer fc saw no calibration image"):
        observed_grids(make_observer("auto", torch.qint8), "fc")
    with pytest.raises(NotFinite, match="Layer fc met values"):
        observed_grids(observer_of(torch.tensor([1.0, float("inf")]), "minmax"), "fc")
