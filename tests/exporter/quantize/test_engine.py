from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
import torch.ao.nn.quantized as nnq
from torch import nn
from torch.utils.mobile_optimizer import optimize_for_mobile

from exporter.errors import WrongEngine
from exporter.quantize.engine import (
    duplicated_weights,
    foreign_packed_layers,
    require_phone_packing,
    require_single_weights,
)
from exporter.quantize.evaluate import save_for_timing
from runtime_check.runtimes.lite import quantized_engine, write_lite


def packed(engine: str) -> nn.Module:
    with quantized_engine(engine):
        module = nn.Sequential(
            nnq.Quantize(0.1, 0, torch.quint8),
            nnq.Linear(64, 64),
            nnq.DeQuantize(),
            nn.Flatten(),
            nnq.Quantize(0.1, 0, torch.quint8),
            nnq.Linear(64, 64),
            nnq.DeQuantize(),
        ).eval()
        generator = torch.Generator().manual_seed(0)
        for layer in (module[1], module[5]):  # a new one holds whatever was in that memory
            weight = torch.randn(64, 64, generator=generator)
            layer.set_weight_bias(
                torch.quantize_per_tensor(weight, 0.02, 0, torch.qint8), torch.zeros(64)
            )
        return module


def server_engine() -> str:
    for engine in ("x86", "fbgemm", "onednn"):
        if engine in torch.backends.quantized.supported_engines:
            return engine
    pytest.skip("this torch has no server engine")


def test_phone_packing_passes() -> None:
    require_phone_packing(packed("qnnpack"))


def test_server_packing_is_refused_by_layer_name() -> None:
    module = packed(server_engine())
    assert foreign_packed_layers(module) == ("1", "5")
    with pytest.raises(WrongEngine, match=r"2 int8 layers .*first: 1"):
        require_phone_packing(module)


def test_weights_saved_twice_are_found(tmp_path: Path) -> None:
    once, twice = tmp_path / "once.ptl", tmp_path / "twice.ptl"
    save_for_timing(packed("qnnpack"), torch.randn(2, 64), once)
    require_single_weights(once)
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("m/data/0", bytes(range(256)) * 16)
        archive.writestr("m/constants/0", bytes(range(256)) * 16)
        archive.writestr("m/constants/1", b"\0" * 16)
    assert duplicated_weights(twice) == {"m/constants/0": 4096}
    with pytest.raises(WrongEngine, match="second time"):
        require_single_weights(twice)


@pytest.mark.parametrize("engine", ["x86", "fbgemm", "qnnpack"])
def test_a_server_engine_stores_dynamic_weights_twice(tmp_path: Path, engine: str) -> None:
    """What `optimize_for_mobile` does under each engine, for real (facts: 11.9 for 6.4 MB)."""
    if engine not in torch.backends.quantized.supported_engines:
        pytest.skip(f"this torch has no engine {engine}")
    path = tmp_path / "dynamic.ptl"
    layers = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)).eval()
    with quantized_engine(engine):
        module = torch.ao.quantization.quantize_dynamic(layers, {nn.Linear})
        optimized = optimize_for_mobile(torch.jit.script(module))
        write_lite(optimized, path)
    if engine == "qnnpack":
        require_single_weights(path)
    else:
        with pytest.raises(WrongEngine, match="second time"):
            require_single_weights(path)
