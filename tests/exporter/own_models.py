"""Small modules of the kinds users bring, as factories for `own_models:name`."""

from __future__ import annotations

import torch
from torch import nn


class Flip(nn.Module):
    """The classic: a branch on data."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return x
        else:
            return -x


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.flip = Flip()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.flip(self.conv(x)).mean((2, 3))


class Unscriptable(nn.Module):
    """Traces, but the scripting compiler refuses it (a generator)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return sum(layer(x) for layer in self.layers).flatten(1).mean(1, keepdim=True)


class UnscriptableBranching(nn.Module):
    """Only mixed capture can take this: one child branches, the rest cannot be scripted."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Unscriptable()
        self.flip = Flip()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.flip(self.body(x)) + sum(self.body(x) for _ in range(2))


class Heads(nn.Module):
    """Two outputs in a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.one, self.two = nn.Linear(8, 5), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.conv(x).mean((2, 3))
        return self.one(x), self.two(x)


class ConvNormNet(nn.Module):
    """Conv without bias, BatchNorm with real statistics, residual: what bug 76807 corrupts."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, classes)
        generator = torch.Generator().manual_seed(1)
        for norm in (self.bn1, self.bn2):
            for tensor, low, high in (
                (norm.running_mean, -0.5, 0.5),
                (norm.running_var, 0.3, 2.0),
                (norm.weight.data, 0.5, 1.5),
                (norm.bias.data, -0.5, 0.5),
            ):
                tensor.copy_(torch.rand(8, generator=generator) * (high - low) + low)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)) + x)
        return self.head(x.mean((2, 3)))


class NormReadTwice(ConvNormNet):
    """The convolution's output is used beside its batch norm: folding would be wrong."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x)
        return self.head((self.bn1(x) + x).mean((2, 3)))


class LanczosDead(nn.Module):
    """Scripting F.interpolate drags in operators that torch 2.1.0 does not have."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(
            x, size=[8, 8], mode="bicubic", antialias=True, align_corners=False
        ).mean((2, 3))


class RmsNorm(nn.Module):
    """An operator that neither device runtime has, in no module that `prepare` could swap."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(nn.functional.rms_norm(x, (16,)))


class FusedAttention(nn.Module):
    """Runs on 2.1.0, does not exist on 1.13."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


class GroupedAttention(nn.Module):
    """Passes an argument that 2.1.0 does not know: it would load there and fail when run."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.unsqueeze(0)
        return nn.functional.scaled_dot_product_attention(x, x, x, enable_gqa=True)


class NotFinite(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.mean((2, 3)) * 0) / 0


def needs_argument(width: int) -> nn.Module:
    return nn.Linear(width, 2)


def not_a_module() -> int:
    return 3


def broken() -> nn.Module:
    raise OSError("no such thing")
