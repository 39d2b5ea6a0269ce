"""Outputs as a flat list, whatever `forward` returns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exporter.errors import CaptureError
from exporter.outputs import flatten, run, stack


def test_nested_outputs_are_flattened_in_order() -> None:
    a, b, c, d = (torch.full((2,), float(i)) for i in range(4))
    assert [float(t[0]) for t in flatten((a, [b, {"x": c, "a": d}]))] == [0, 1, 2, 3]
    int8 = torch.quantize_per_tensor(a + 1, 0.5, 0, torch.qint8)
    assert torch.equal(flatten(int8)[0], a + 1)
    with pytest.raises(CaptureError, match="returns a str"):
        flatten((a, "label"))


class View(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.t()


def test_outputs_are_copies_without_gradients() -> None:
    x = torch.zeros(2, 3, requires_grad=True)
    (y,) = run(View(), (x,))
    with torch.no_grad():
        x.fill_(1)
    assert not y.requires_grad
    assert y.is_contiguous()
    assert not y.any()


def test_equal_shapes_are_stacked_and_others_kept_apart() -> None:
    one, two = torch.zeros(1, 3), torch.ones(1, 3)
    assert [s.shape for s in stack([[one, one], [two, two]])] == [(2, 1, 3), (2, 1, 3)]
    assert [s.shape for s in stack([[one], [torch.ones(2, 3)]])] == [(1, 3), (2, 3)]
    assert stack([]) == []
    assert isinstance(stack([[np.zeros(2)]])[0], np.ndarray)
