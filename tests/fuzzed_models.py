"""Modules of every kind a command line may be handed, good and bad, all tiny."""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn


def net() -> nn.Module:
    """A good one."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) + torch.rand(3)


class Frozen(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) * random.random()


class Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("not today")


class Leaves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise SystemExit(0)


class Two(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> None:
        return None


class Words(nn.Module):
    def forward(self, x: Tensor) -> dict[str, object]:
        return {"name": "a word", "x": x}


class Complex(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft(x)


def noise() -> nn.Module:
    return Noise()


def frozen() -> nn.Module:
    return Frozen()


def raises() -> nn.Module:
    return Raises()


def leaves_forward() -> nn.Module:
    return Leaves()


def two() -> nn.Module:
    return Two()


def nothing() -> nn.Module:
    return Nothing()


def words() -> nn.Module:
    return Words()


def complex_outputs() -> nn.Module:
    return Complex()


def half() -> nn.Module:
    return net().half()


def meta() -> nn.Module:
    with torch.device("meta"):
        return net()


def lazy() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(5))


def leaves() -> nn.Module:
    raise SystemExit(0)


def interrupted() -> nn.Module:
    raise GeneratorExit


def broken() -> nn.Module:
    raise ValueError("[/bold] \x1b[31mred\x1b[0m \u202e")


def no_module() -> object:
    return 3


def with_arguments(width: int) -> nn.Module:
    return nn.Conv2d(3, width, 3)


NAMES = tuple(
    f.__name__
    for f in (
        net, noise, frozen, raises, leaves_forward, two, nothing, words, complex_outputs, half,
        meta, lazy, leaves, interrupted, broken, no_module, with_arguments,
    )
)  # fmt: skip
