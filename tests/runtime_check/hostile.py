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


class HoardsOnLarge(nn.Module):
    """Takes `piece` floats at a time, and for ever."""

    def __init__(self, piece: int) -> None:
        super().__init__()
        self.piece = piece

    def forward(self, x: Tensor) -> Tensor:
        if float(x.abs().max()) > 5.0:
            kept = [torch.ones(self.piece)]
            while len(kept) > 0:
                kept.append(torch.ones(self.piece))
        return x.mean([2, 3])


class RaisesOnLarge(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if float(x.abs().max()) > 5.0:
            raise ValueError("too large")
        return x.mean([2, 3])


class LoopsOnLoad(nn.Module):
    """A file's `__setstate__` runs while it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.state = 0

    @torch.jit.export
    def __getstate__(self) -> tuple[int, bool]:
        return self.state, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[int, bool]) -> None:
        self.state, self.training = state
        k = 0
        while k >= 0:
            k = (k + 1) % 1000

    def forward(self, x: Tensor) -> Tensor:
        return x.mean([2, 3])


class AllocatesOnLoad(nn.Module):
    """Likewise, 64 MiB at a time and for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.state = 0

    @torch.jit.export
    def __getstate__(self) -> tuple[int, bool]:
        return self.state, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[int, bool]) -> None:
        self.training = state[1]
        kept = [torch.ones(1 << 24)]
        while len(kept) > 0:
            kept.append(torch.ones(1 << 24))
        self.state = len(kept)

    def forward(self, x: Tensor) -> Tensor:
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
    metadata["input"]["tensors"] = [{"name": "x", "shape": [1, 3, 8, 8], "dtype": "float32"}]
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
