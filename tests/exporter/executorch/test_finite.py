"""Padding with infinity is lowered, and a max pool behind it computes the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.executorch.finite import finite_padding
from exporter.executorch.graph import aten, calls

from .programs import lowered, run


class SamePool(nn.Module):
    """timm's max pool with unequal padding."""

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, (0, 1, 0, 1), value=-float("inf"))
        return functional.max_pool2d(padded, 3, 2)


def test_a_padded_max_pool_computes_the_same() -> None:
    x = torch.randn(1, 4, 8, 8) - 9.0  # below 0, which another padding would win against
    exported = torch.export.export(SamePool(), (x,))
    assert finite_padding(exported) == 1
    assert finite_padding(exported) == 0
    assert torch.equal(exported.module()(x), SamePool()(x))


def test_it_is_lowered_and_runs() -> None:
    x = torch.randn(1, 4, 8, 8) - 9.0
    (found,) = run(lowered(SamePool(), x, finite_padding), [x])
    torch.testing.assert_close(found, SamePool()(x))


@pytest.mark.parametrize("value", [0.0, -3.5])
def test_other_values_stay(value: float) -> None:
    class Padded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.pad(x, (1, 1), value=value)

    exported = torch.export.export(Padded(), (torch.randn(2, 3),))
    assert finite_padding(exported) == 0
    (pad,) = calls(exported, aten.pad.default)
    assert value in (*pad.args, 0.0)
