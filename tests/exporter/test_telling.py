"""Outputs that say nothing about the network are refused, with the layer that hides it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from own_models import ConvNormNet
from torch import Tensor, nn

import exporter
from exporter.errors import NothingToVerify
from exporter.expected import expect_int8
from exporter.options import ExportOptions
from exporter.plan import make_plan
from exporter.source import load_source
from exporter.telling import require_steady
from runtime_check.options import Format

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


class Amplifies(nn.Module):
    """Turns a last bit of its input into any value at all."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(1e7 * x.flatten(1)[:, :10])


@pytest.mark.parametrize("format", ["ptl", "pte"])
def test_int8_whose_roundings_drown_its_outputs_is_refused(format: Format) -> None:
    """Any file would lie within twice what a last bit moves."""
    options = ExportOptions(input_shape=SHAPE)
    plan = make_plan(load_source(Amplifies(), input_shape=SHAPE), options)
    said = r"In int8, rounding in .* differ by .* span .*--float-layers"
    with pytest.raises(NothingToVerify, match=said):
        require_steady(plan, expect_int8(plan, plan.source.module, format))
    steady = make_plan(load_source(ConvNormNet(), input_shape=SHAPE), options)
    require_steady(steady, expect_int8(steady, steady.source.module, format))
