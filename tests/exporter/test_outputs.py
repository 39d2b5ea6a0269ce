"""Outputs as a flat list, whatever `forward` returns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exporter.errors import CaptureError
from exporter.outputs import run, run_once, stack


class Named(nn.Module):
    def forward(self, x: Tensor) -> dict[str, object]:
        return {"b": x, "a": (x + 1, [x + 2])}


class Labeled(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, str]:
        return x, "label"


def test_nested_outputs_come_in_order_and_others_are_refused() -> None:
    outputs = run(Named(), (torch.zeros(1),))
    assert [float(t) for t in outputs] == [0, 1, 2]
    with pytest.raises(CaptureError, match=r"returns a str; it has to return .* for an app"):
        run(Labeled(), (torch.zeros(1),))


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
    assert [s.shape for s in stack([[one], [one]], varying=True)] == [(1, 3), (1, 3)]
    assert stack([]) == []
    assert isinstance(stack([[np.zeros(2)]])[0], np.ndarray)


def test_outputs_looked_at_once_are_no_copies() -> None:
    module = nn.Identity()
    x = torch.zeros(2, 3, requires_grad=True)
    (y,) = run_once(module, (x,))
    assert y.data_ptr() == x.data_ptr()
    assert not y.requires_grad
    (y,) = run_once(View(), (x,))
    assert y.is_contiguous()


def test_large_outputs_are_not_copied_to_stand_in_rows() -> None:
    """22 MB for each sample of a segmentation of 512 x 512 pixels with 21 classes."""
    one, two = np.zeros((1, 21, 120, 120), np.float32), np.ones((1, 21, 120, 120), np.float32)
    stacked = stack([[one], [two]])
    assert [np.shares_memory(a, b) for a, b in zip(stacked, (one, two), strict=True)] == [True] * 2
