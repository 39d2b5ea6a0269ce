"""Files that are honest on their golden vectors only, and the model that they claim to be."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from runtime_check.reference.weights import state_dict_sha256

from .conftest import EXACT, describe, save


class Mean(nn.Module):
    """What every file here claims to compute."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean([2, 3])


class LoopsOnNan(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(torch.isnan(x).any()):
            k = 0
            while k >= 0:
                k = (k + 1) % 1000
        return x.mean([2, 3])


class LoopsOnLarge(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if float(x.abs().max()) > 5.0:
            k = 0
            while k >= 0:
                k = (k + 1) % 1000
        return x.mean([2, 3])


class WrongOnLarge(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x.mean([2, 3])
        return -y if float(x.abs().max()) > 5.0 else y


class WrongEverywhere(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean([2, 3]) * 1.5


class GrowsOnLarge(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if float(x.abs().max()) > 5.0:
            return torch.zeros(1).expand(67108864)
        return x.mean([2, 3])


class AllocatesOnLarge(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if float(x.abs().max()) > 5.0:
            return torch.ones(1 << 40).sum() + x.mean([2, 3])
        return x.mean([2, 3])


class RaisesOnLarge(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if float(x.abs().max()) > 5.0:
            raise ValueError("too large")
        return x.mean([2, 3])


def mean() -> nn.Module:
    """The reference of all of them."""
    return Mean()


def make_hostile(network: nn.Module, path: Path, *, atol: float | None = None) -> Path:
    """Save `network` as a file that claims to be `Mean`; the golden vectors are small and right.

    Where `network` is wrong on them too, they state what it gives: the file agrees with itself.
    """
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.randn(1, 3, 8, 8, generator=generator).clamp(-4, 4) for _ in range(2)]
    outputs = [network.eval()(x) for x in inputs]
    metadata = describe(Mean(), "tensor", [outputs[0].numpy()], dict(EXACT))
    metadata["input"]["tensors"] = [{"shape": [1, 3, 8, 8], "dtype": "float32"}]
    metadata["output"]["labels"] = None
    metadata["provenance"]["model"] = f"{__name__}:mean"
    metadata["provenance"]["weights"]["sha256"] = state_dict_sha256({})
    if atol is not None:
        metadata["tolerance"] = {"atol": atol, "rtol": 0.0, "basis": "so it says"}
    cases = [([x.numpy()], [y.numpy()]) for x, y in zip(inputs, outputs, strict=True)]
    return save(torch.jit.script(network), path, metadata, cases)


class Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * (1 // 0)


def raises() -> nn.Module:
    """A reference that has nothing to say."""
    return Raises()
