import zipfile

import pytest
import torch
import torch.ao.nn.quantized as nnq
from torch import nn

from exporter.quantize import duplicated_weights, quantized_engine, require_single_weights
from exporter.quantize.engine import foreign_packed_layers, require_phone_packing
from exporter.quantize.errors import WrongEngine
from exporter.quantize.evaluate import save_lite


def packed(engine: str) -> nn.Module:
    with quantized_engine(engine):
        return nn.Sequential(
            nnq.Quantize(0.1, 0, torch.quint8),
            nnq.Linear(64, 64),
            nnq.DeQuantize(),
            nn.Flatten(),
            nnq.Quantize(0.1, 0, torch.quint8),
            nnq.Linear(64, 64),
            nnq.DeQuantize(),
        ).eval()


def server_engine() -> str:
    for engine in ("x86", "fbgemm", "onednn"):
        if engine in torch.backends.quantized.supported_engines:
            return engine
    pytest.skip("this torch has no server engine")


def test_engine_is_restored_even_after_an_error():
    before = torch.backends.quantized.engine
    seen = []

    def fails() -> None:
        with quantized_engine():
            seen.append(torch.backends.quantized.engine)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert seen == ["qnnpack"]
    assert torch.backends.quantized.engine == before


def test_missing_engine_says_what_there_is():
    with pytest.raises(WrongEngine, match="qnnpack"), quantized_engine("tpu"):
        pass


def test_phone_packing_passes():
    require_phone_packing(packed("qnnpack"))


def test_server_packing_is_refused_by_layer_name():
    module = packed(server_engine())
    assert foreign_packed_layers(module) == ("1", "5")
    with pytest.raises(WrongEngine, match=r"2 int8 layers .*first: 1"):
        require_phone_packing(module)


def test_weights_saved_twice_are_found(tmp_path):
    once, twice = tmp_path / "once.ptl", tmp_path / "twice.ptl"
    save_lite(packed("qnnpack"), torch.randn(2, 64), once)
    require_single_weights(once)
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("m/data/0", bytes(range(256)) * 16)
        archive.writestr("m/constants/0", bytes(range(256)) * 16)
        archive.writestr("m/constants/1", b"\0" * 16)
    assert duplicated_weights(twice) == {"m/constants/0": 4096}
    with pytest.raises(WrongEngine, match="second time"):
        require_single_weights(twice)


def test_a_real_server_file_stores_weights_twice(tmp_path):
    path = tmp_path / "server.ptl"
    module = packed(server_engine())
    with quantized_engine(server_engine()):
        traced = torch.jit.trace(module, torch.randn(2, 64), check_trace=False)
        traced._save_for_lite_interpreter(str(path))
    with pytest.raises(WrongEngine):
        require_single_weights(path)
