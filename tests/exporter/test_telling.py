"""Outputs that say nothing about the network are refused, with the layer that hides it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import exporter
from exporter.errors import NothingToVerify

SHAPE = (1, 3, 16, 16)


class Headed(nn.Module):
    def __init__(self, *, zero: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.head = nn.Linear(8, 5)
        if zero:
            nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).relu().mean((2, 3)))


class Cancels(nn.Module):
    """What is left of a sum around 1e6 is mostly rounding: steps of 1/16 under outputs of 1."""

    def forward(self, x: Tensor) -> Tensor:
        return (x.mean((2, 3)) + 1e6) - 1e6


class TwoHeads(Headed):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        features = self.conv(x).relu().mean((2, 3))
        return features, self.head(features)


def test_a_zero_head_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NothingToVerify, match=r"head \(Linear, its weight all zero\)"):
        exporter.export(Headed(zero=True), input_shape=SHAPE, out=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert exporter.export(Headed(zero=False), input_shape=SHAPE, out=tmp_path).path.exists()


def test_one_that_torchvision_has(tmp_path: Path) -> None:
    from torchvision.models import vit_b_32

    torch.manual_seed(0)
    with pytest.raises(NothingToVerify, match=r"heads\.head \(Linear, its weight all zero\)"):
        exporter.export(vit_b_32(), input_shape=(1, 3, 224, 224), out=tmp_path)


def test_outputs_that_are_mostly_rounding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NothingToVerify, match="is so large that nothing can be verified"):
        exporter.export(Cancels(), input_shape=SHAPE, out=tmp_path)


def test_one_constant_output_of_several_is_said(tmp_path: Path) -> None:
    made = exporter.export(TwoHeads(zero=True), input_shape=SHAPE, out=tmp_path, name="two")
    text = " ".join(note.text for note in made.report.notes)
    assert "output output_1 is the same for every sample" in text
