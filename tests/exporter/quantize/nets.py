"""Small networks and what several tests of int8 ask of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from exporter.quantize.calibrate import (
    calibrate,
)
from exporter.quantize.describe import Quantized
from exporter.quantize.engine import quantized_engine
from exporter.quantize.evaluate import judge, run_batches
from exporter.quantize.place import Simulated, simulate_int8
from exporter.recipes import RECIPES


def smooth(batch: int, channels: int, size: int) -> torch.Tensor:
    coarse = torch.randn(batch, channels, max(2, size // 4), max(2, size // 4))
    return functional.interpolate(coarse, (size, size), mode="bilinear")


class Mobile(nn.Module):
    """Conv, BatchNorm with statistics, ReLU6, depthwise, residual add, pool, Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.act = nn.ReLU6()
        self.depthwise = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.act2 = nn.ReLU()
        self.project = nn.Conv2d(16, 16, 1)
        self.head = nn.Linear(16, 10)
        for tensor in (self.norm.running_mean, self.norm.weight, self.norm.bias):
            nn.init.normal_(tensor, 1.0)
        nn.init.uniform_(self.norm.running_var, 0.5, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.norm(self.stem(x)))
        x = x + self.project(self.act2(self.depthwise(x)))
        return self.head(x.mean((2, 3)))


def simulated(
    model: nn.Module, recipe: str = "static-xnnpack", **changes: Any
) -> tuple[Simulated, Tensor]:
    x = smooth(8, 3, 32)
    made = simulate_int8(model, replace(RECIPES[recipe], **changes), example=x[:1], calibration=[x])
    calibrate(made, [x])
    return made, x


class Forks(nn.Module):
    """A pooled tensor that two convolutions read, and a convolution that two others read."""

    def __init__(self, *, in_place: bool = False) -> None:
        super().__init__()
        self.in_place = in_place
        self.left, self.right = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)
        self.up, self.down = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.avg_pool2d(x, 2)
        left = self.left(x)
        if self.in_place:
            x.mul_(-0.5)
        return self.up(left) + self.down(left) + self.right(x)


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.b(functional.relu(self.a(x)))).mean((2, 3)))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if x.sum() > -1e9 else x


def logits(module: nn.Module, batches: list[Tensor]) -> Tensor:
    """What a network of one output gives for all batches."""
    return torch.cat([out for (out,) in run_batches(module, batches)])


def outputs(made: Quantized, batches: list[Tensor]) -> list[list[Tensor]]:
    with quantized_engine():
        return run_batches(made.module, batches)


def against_simulation(made: Quantized, batches: list[Tensor]) -> float | None:
    """SQNR in dB of the int8 module against its fake-quantized twin."""
    return judge(run_batches(made.simulated, batches), outputs(made, batches)).sqnr_db
