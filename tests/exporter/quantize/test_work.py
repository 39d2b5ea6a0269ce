"""Work counted by hand, in multiply-accumulates; weights as the benchmarks' tables have them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.ao.nn.quantized as nnq
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from exporter.errors import UncountedWork
from exporter.postprocess.nms import nms
from exporter.quantize.dynamic import dynamic_linear, quantize_recurrent
from exporter.quantize.engine import quantized_engine
from exporter.quantize.place import prepared_copy
from exporter.quantize.work import count_work

from .conftest import MadeInt8, Task

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FLOAT = 0.33  # instructions of the unit
GELU = 51 / FLOAT  # of one exponential
IMAGE = (1, 3, 8, 8)


class Do(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Int8(nn.Module):
    """Quantize, one int8 kernel, dequantize."""

    def __init__(self, kernel: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.kernel, self.dtype = kernel, dtype

    def forward(self, x: Tensor) -> Tensor:
        zero = 0 if self.dtype == torch.qint8 else 128
        return self.kernel(torch.quantize_per_tensor(x, 0.05, zero, self.dtype)).dequantize()


@pytest.mark.parametrize(
    ("module", "shape", "expected"),
    [
        # 6 x 6 positions of 4 channels, 27 products each.
        (nn.Conv2d(3, 4, 3), IMAGE, 6 * 6 * 4 * 27),
        (nn.Conv2d(4, 6, 3, groups=2), (1, 4, 8, 8), 6 * 6 * 6 * 18),
        (nn.Conv2d(4, 4, 3, groups=4), (1, 4, 8, 8), 6 * 6 * 4 * 9 * 0.88 / FLOAT),
        # Each of 8 x 8 x 3 values goes to 4 channels at 2 x 2 positions.
        (nn.ConvTranspose2d(3, 4, 2, 2), IMAGE, 8 * 8 * 3 * 16),
        (nn.Linear(5, 7), (1, 5), 35),
        (nn.Linear(5, 7), (2, 3, 5), 6 * 35),
        (nn.Linear(5, 7, bias=False), (2, 3, 5), 6 * 35),
        (Do(lambda x: torch.bmm(x, x.transpose(1, 2))), (2, 5, 8), 2 * 5 * 5 * 8),
        (Do(lambda x: x @ x.transpose(-1, -2)), (1, 2, 5, 8), 2 * 5 * 5 * 8),
        (Do(lambda x: x @ x[0]), (5, 8), 5 * 8),
        # A clamp right after a float layer is part of its kernel; elsewhere it is not.
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU6()), IMAGE, 6 * 6 * 4 * 27),
        (nn.Sequential(nn.Linear(5, 7), nn.ReLU(inplace=True)), (2, 3, 5), 6 * 35),
        (nn.ReLU(), (1, 33), 33 * 1.23 / FLOAT),
        (nn.GELU(), (1, 33), 33 * GELU),
        (nn.LayerNorm(33), (2, 33), 66 * 5.25 / FLOAT),
        (Do(lambda x: x.mean((2, 3))), IMAGE, 192 * 1.23 / FLOAT),
        (Do(lambda x: x.norm(dim=1)), (2, 33), 66 * 1.23 / FLOAT),
        (Do(lambda x: x.view(3, 64).t()[:2].unsqueeze(0)), IMAGE, 0),
    ],
)
def test_float_operators(module: nn.Module, shape: tuple[int, ...], expected: float) -> None:
    assert count_work(module.eval(), torch.randn(shape)) == round(expected)


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (2, 4, 5, 5)])
@pytest.mark.parametrize(
    ("dtype", "dense", "depthwise"), [(torch.qint8, 0.093, 0.86), (torch.quint8, 0.33, 1.29)]
)
def test_static_convolutions(
    shape: tuple[int, ...], dtype: torch.dtype, dense: float, depthwise: float
) -> None:
    x = torch.randn(shape)
    rows = shape[0] * (shape[2] - 2) * (shape[3] - 2)
    outside = 2.21 * x.numel() + 1.38 * 4 * rows
    computed = rows if dtype == torch.qint8 else -(-rows // 8) * 8  # QNNPACK goes by the eight
    with quantized_engine():
        plain = Int8(nnq.Conv2d(4, 4, 3), dtype)
        grouped = Int8(nnq.Conv2d(4, 4, 3, groups=4), dtype)
    assert count_work(plain, x) == round((outside + dense * computed * 4 * 36) / FLOAT)
    assert count_work(grouped, x) == round((outside + depthwise * rows * 4 * 9) / FLOAT)


def test_int8_linears_pay_for_whole_tiles_of_rows() -> None:
    with quantized_engine():
        xnnpack = Int8(nnq.Linear(5, 7), torch.qint8)
        qnnpack = Int8(nnq.Linear(5, 7), torch.quint8)
        dynamic = dynamic_linear(nn.Linear(5, 7), "fc", per_channel=True)
    for rows, computed in ((1, 8), (8, 8), (9, 16)):
        x = torch.randn(rows, 5)
        outside = 2.21 * 5 * rows + 1.38 * 7 * rows
        assert count_work(xnnpack, x) == round((outside + 0.093 * rows * 35) / FLOAT)
        assert count_work(qnnpack, x) == round((outside + 0.33 * computed * 35) / FLOAT)
        assert count_work(dynamic, x) == round((3 * 5 * rows + 0.33 * computed * 35) / FLOAT)


def test_recurrent_layers_float_and_dynamic() -> None:
    """Two layers, both ways, 3 steps of 8 sequences: each step multiplies input and state."""
    x = torch.randn(8, 3, 5)
    for kind, gates in ((nn.LSTM, 4), (nn.GRU, 3)):
        network = nn.Sequential(kind(5, 7, num_layers=2, bidirectional=True, batch_first=True))
        products = 8 * 3 * 2 * gates * 7 * ((5 + 7) + (14 + 7))
        curves = 8 * 3 * 2 * 2 * gates * 7 * GELU
        exact = count_work(network.eval(), x)
        # Whatever torch calls: the products in one, the gates' curves more or less.
        assert products < exact < products + 1.2 * curves
        with quantized_engine():
            quantize_recurrent(network)
        inputs = 8 * 3 * 2 * ((5 + 7) + (14 + 7)) * 3 / FLOAT
        assert count_work(network, x) == pytest.approx(products + curves + inputs, rel=0.01)


def test_a_packed_sequence_is_refused_where_torch_hides_its_products() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(5, 7)

        def forward(self, x: Tensor) -> Tensor:
            return self.lstm(nn.utils.rnn.pack_padded_sequence(x, torch.tensor([3, 2])))[0].data

    network = Packed().eval()
    with quantized_engine():
        quantize_recurrent(network)
    with pytest.raises(UncountedWork, match="aten::quantized_lstm"):
        count_work(network, torch.randn(3, 2, 5))


def test_attention_is_as_much_work_fused_as_opened() -> None:
    def opened(x: Tensor) -> Tensor:
        return (x @ x.transpose(-1, -2)).softmax(-1) @ x

    x = torch.randn(1, 3, 20, 16)
    expected = 3 * 20 * 20 * (2 * 16 + GELU)
    fused = Do(lambda x: functional.scaled_dot_product_attention(x, x, x, scale=1.0))
    assert count_work(Do(opened), x) == round(expected)
    assert count_work(fused, x) == round(expected)


def test_torchs_one_operator_for_an_encoder_is_opened() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 64, batch_first=True).eval()
    x = torch.randn(1, 20, 16)
    products = 20 * 16 * (4 * 16 + 2 * 64) + 2 * 20 * 20 * 16
    before = torch.backends.mha.get_fastpath_enabled()
    assert products < count_work(layer, x) < products + 20 * 20 * 2 * GELU + 20 * 1000
    assert torch.backends.mha.get_fastpath_enabled() is before


def test_what_nobody_can_count_is_refused_by_name() -> None:
    for module, name in (
        (Do(lambda x: torch.cdist(x, x)), "aten::_cdist_forward"),
        (Do(lambda x: torch.fft.rfft(x).real), "aten::_fft_r2c"),
        (Do(lambda x: torch.linalg.inv(x)), "aten::linalg_inv_ex"),
    ):
        with pytest.raises(UncountedWork, match=f"calls {name}, .*--quantize static"):
            count_work(module, torch.randn(IMAGE))


def test_suppression_compares_every_two_boxes() -> None:
    """As many numbers as the operators that stand in for it in the file write, more or less."""
    found = Do(lambda x: torchvision.ops.nms(x, x[:, 0], 0.5))
    plain = Do(lambda x: nms(x, x[:, 0], 0.5))
    boxes = torch.rand(120, 4).cumsum(1)
    assert count_work(found, boxes) == pytest.approx(count_work(plain, boxes), rel=0.3)
    assert count_work(found, boxes) == pytest.approx(4 * count_work(found, boxes[:60]), rel=1e-3)


def test_a_script_and_an_eager_module_are_the_same_work() -> None:
    eager = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.GELU(), nn.Flatten(), nn.Linear(144, 2))
    script, x = torch.jit.script(eager.eval()), torch.randn(IMAGE)
    expected = 144 * 27 + 144 * GELU + 144 * 2
    assert [count_work(m, x) for m in (eager, script, script, script)] == [round(expected)] * 4


def test_int8_of_a_real_network_is_the_share_that_its_instructions_are(
    lite0: Task, lite0_int8: MadeInt8
) -> None:
    """Against the instructions that tests/benchmarks counted of the exported files."""
    text = (BENCHMARKS / "speed.md").read_text(encoding="utf-8")
    counted = re.search(r"lite0: ARM64 instructions, int8 / fp32 .*?\| ([0-9.]+) \|", text)
    work = count_work(prepared_copy(lite0.model, lite0.example), lite0.example)
    int8 = count_work(lite0_int8("static-xnnpack-fx").module, lite0.example)
    assert int8 / work == pytest.approx(float(counted[1]), rel=0.05)
    instructions = re.search(r"fp32, ARM64, torch 2.1.0: (157[0-9.]+) M", text)
    assert work * FLOAT == pytest.approx(1e6 * float(instructions[1]), rel=0.1)


def test_the_weights_are_those_of_the_table() -> None:
    """A new table of the benchmark must not go unnoticed."""
    text = (BENCHMARKS / "product_costs.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")][2:]
    table = {cells[0].strip(): [float(c) for c in cells[1:] if c.strip()] for cells in rows}
    dense = table["Conv2d 3x3, 64 to 64, 28 x 28"]
    assert dense == pytest.approx([0.33, 0.093, 0.33], rel=0.02)
    depthwise = [row for name, row in table.items() if "depthwise" in name]
    means = [sum(column) / 2 for column in zip(*depthwise, strict=True)]
    assert means == pytest.approx([0.88, 0.86, 1.29], rel=0.01)
    assert table["Linear 1280 to 1000, one row"][2] == pytest.approx(8 * 0.33, rel=0.05)
