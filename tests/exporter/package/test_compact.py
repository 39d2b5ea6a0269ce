"""Compaction: the same numbers from fewer bytes, and nothing touched that it does not know."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.ao.nn.quantized import Conv2d

from exporter.package.archive import canonicalize
from exporter.package.compact import compact_records
from exporter.quantize.convert import QuantizeInput
from exporter.quantize.ranges import Range
from exporter.quantize.weights import quantized_weight
from runtime_check.runtimes.lite import load_lite, quantized_engine, write_lite


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    """Weights are packed for the engine that is set when they are made."""
    with quantized_engine():
        yield


class Int8(nn.Module):
    """Three per-channel int8 convolutions and float constants of several types and sizes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.quantize = QuantizeInput(Range(0.05, 3), torch.qint8)
        kernels = []
        for _ in range(3):
            kernel = Conv2d(8, 8, 1)
            weight = torch.randn(8, 8, 1, 1)
            scales = weight.abs().flatten(1).amax(1) / 127
            kernel.set_weight_bias(quantized_weight(weight, scales), torch.randn(8))
            kernel.scale, kernel.zero_point = 0.1, 5
            kernels.append(kernel)
        self.kernels = nn.Sequential(*kernels)
        self.small = nn.Parameter(torch.randn(8, 1, 1))
        self.large = nn.Parameter(torch.randn(8, 64, 64))
        self.exact = nn.Parameter(torch.randn(8, 1, 1, dtype=torch.float64))
        self.register_buffer("order", torch.randperm(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.kernels(self.quantize(x)).dequantize()
        y = y * self.small + self.large + self.small
        return (y[:, self.order] * self.exact).float()


def save(module: nn.Module, folder: Path, shape: tuple[int, ...]) -> Path:
    path = folder / "raw.ptl"
    traced = torch.jit.freeze(torch.jit.trace(module.eval(), torch.randn(shape)))
    write_lite(traced, path)
    return path


def records_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}


def test_the_same_bits_from_fewer_and_smaller_records(tmp_path: Path) -> None:
    raw = save(Int8(), tmp_path, (1, 8, 64, 64))
    x = torch.randn(1, 8, 64, 64)
    before = load_lite(raw)(x)
    size, count = raw.stat().st_size, len(records_of(raw))
    lite = canonicalize(raw, tmp_path)
    assert torch.equal(load_lite(lite.path)(x), before)
    assert torch.equal(torch.jit.load(str(lite.path))(x), before)
    records = records_of(lite.path)
    # Nine bias, scale and zero-point records became one of floats and one of zero points.
    assert len(records) <= count - 9
    assert lite.bytes < size
    assert len(records["constants/long.storage"]) <= 8 * 8 * 2  # zero points once, and the order


def test_doubles_that_are_no_scales_stay_doubles(tmp_path: Path) -> None:
    """A float64 parameter would change its dtype, however exactly a float32 could hold it."""
    module = Int8()
    module.exact = nn.Parameter(torch.ones(8, 1, 1, dtype=torch.float64))
    lite = canonicalize(save(module, tmp_path, (1, 8, 64, 64)), tmp_path)
    assert np.frombuffer(records_of(lite.path)["constants/double.storage"]).tolist() == [1.0] * 8


def test_scales_beyond_float32_stay_doubles(tmp_path: Path) -> None:
    kernel = Conv2d(2, 2, 1)
    scales = torch.tensor([0.1, 0.2], dtype=torch.float64)  # not float32 numbers
    weight = torch.quantize_per_channel(
        torch.randn(2, 2, 1, 1), scales, torch.zeros(2, dtype=torch.long), 0, torch.qint8
    )
    kernel.set_weight_bias(weight, torch.zeros(2))
    module = nn.Sequential(QuantizeInput(Range(0.05, 3), torch.qint8), kernel)
    raw = save(module, tmp_path, (1, 2, 4, 4))
    before = np.frombuffer(records_of(raw)["constants/2.storage"])
    assert before.tolist() == [0.1, 0.2]
    lite = canonicalize(raw, tmp_path)
    stored = np.frombuffer(records_of(lite.path)["constants/double.storage"])
    assert stored.tolist() == [0.1, 0.2]


def test_large_tensors_keep_their_own_records(tmp_path: Path) -> None:
    """Weights are packed one by one; in one storage all would stay in memory to the last."""
    raw = save(Int8(), tmp_path, (1, 8, 64, 64))
    large = {n: d for n, d in records_of(raw).items() if len(d) > 64 * 1024}
    assert large
    lite = canonicalize(raw, tmp_path)
    assert large.items() <= records_of(lite.path).items()


@pytest.mark.parametrize(
    "damage", [b"", b"\x80\x02", b"\x80\x02(I1\n.", b"\x80\x02h\x07.", b"\x80\x02(cos\nsystem\no."]
)
def test_an_unknown_pickle_comes_back_as_it_was(tmp_path: Path, damage: bytes) -> None:
    records = records_of(save(Int8(), tmp_path, (1, 8, 64, 64)))
    records["constants.pkl"] = damage
    assert compact_records(records) == records
