"""Count what one multiply-accumulate costs in each kind of layer on the phone's runtime.

    python -m tests.benchmarks.product_costs

Instructions per multiply-accumulate on PyTorch 2.1's ARM64 build (exact and repeatable), of layers
with the shapes of DeiT-Tiny and EfficientNet-Lite0 in channels-last order. Laying the input out and
quantizing it is counted apart and taken off, except for dynamic int8, where that belongs to the
layer. Needs `python -m runtime_check device install`. Writes `product_costs.md` beside this file;
`exporter/quantize/work.py` takes its weights from there.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
import torch.ao.nn.quantized as nnq
from torch import Tensor, nn
from torch.utils.mobile_optimizer import optimize_for_mobile

from exporter.environment import one_thread
from exporter.quantize.dynamic import dynamic_linear
from exporter.quiet import quiet
from runtime_check.device.runner import DeviceSession, open_runner
from runtime_check.runtimes.lite import quantized_engine, write_lite

HERE = Path(__file__).parent
KINDS = ("float32", "XNNPACK int8", "QNNPACK int8", "dynamic int8")
# Input shape and layer; a Linear takes tokens, as rows.
LAYERS: dict[str, tuple[tuple[int, ...], nn.Module]] = {
    "Linear 192 to 768, 197 rows": ((197, 192), nn.Linear(192, 768)),
    "Linear 768 to 192, 197 rows": ((197, 768), nn.Linear(768, 192)),
    "Linear 1280 to 1000, one row": ((1, 1280), nn.Linear(1280, 1000)),
    "Conv2d 1x1, 96 to 24, 56 x 56": ((1, 96, 56, 56), nn.Conv2d(96, 24, 1)),
    "Conv2d 3x3, 64 to 64, 28 x 28": ((1, 64, 28, 28), nn.Conv2d(64, 64, 3, padding=1)),
    "Conv2d 3x3, 64 to 64 in 4 groups, 28 x 28": (
        (1, 64, 28, 28),
        nn.Conv2d(64, 64, 3, padding=1, groups=4),
    ),
    "Conv2d 3x3 depthwise, 96, 56 x 56": (
        (1, 96, 56, 56),
        nn.Conv2d(96, 96, 3, padding=1, groups=96),
    ),
    "Conv2d 5x5 depthwise, 240, 28 x 28": (
        (1, 240, 28, 28),
        nn.Conv2d(240, 240, 5, padding=2, groups=240),
    ),
}


class _Measured(nn.Module):
    """Lay the input out, quantize it where a dtype is given, run the layer, return one value."""

    def __init__(self, layer: nn.Module | None, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.layer, self.dtype = layer, dtype

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        if self.dtype is not None:
            x = torch.quantize_per_tensor(
                x, 0.05, 0 if self.dtype == torch.qint8 else 128, self.dtype
            )
        if self.layer is not None:
            x = self.layer(x)
        corner = x[(slice(0, 1),) * x.dim()]
        return corner if self.dtype is None else corner.dequantize()


def _static(layer: nn.Module) -> nn.Module:
    """Return the static int8 form of a layer, packed for QNNPACK and XNNPACK alike."""
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    weight = torch.quantize_per_tensor(layer.weight.detach(), 0.01, 0, torch.qint8)
    if isinstance(layer, nn.Linear):
        made = nnq.Linear(layer.in_features, layer.out_features)
    else:
        made = nnq.Conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            padding=layer.padding,
            groups=layer.groups,
        )
    made.set_weight_bias(weight, layer.bias.detach())
    made.scale, made.zero_point = 0.1, 0
    ready: nn.Module = made.eval()
    return ready


def _forms(layer: nn.Module, kind: str) -> tuple[nn.Module, nn.Module] | None:
    """Return what is measured and what is taken off; None where there is no such kernel."""
    if kind == "float32":
        return _Measured(layer, None), _Measured(None, None)
    if kind == "dynamic int8":
        if not isinstance(layer, nn.Linear):
            return None
        return _Measured(dynamic_linear(layer, "", per_channel=True), None), _Measured(None, None)
    dtype = torch.qint8 if kind == "XNNPACK int8" else torch.quint8
    return _Measured(_static(layer), dtype), _Measured(None, dtype)


def _instructions(device: DeviceSession, module: nn.Module, x: Tensor, path: Path) -> int:
    captured = torch.jit.trace(module.eval(), (x,), check_trace=False)
    write_lite(optimize_for_mobile(captured), path)
    device.load(path)
    return device.forward([x.numpy()], repeats=2).instructions or 0


def _products(layer: nn.Module, output: Tensor) -> int:
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    return output.numel() * layer.weight[0].numel()


def attention(device: DeviceSession, path: Path) -> tuple[str, float]:
    """Return the row of a matrix product of two activations: 3 heads of 64, 197 tokens."""

    class Scores(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x @ (x + 1.0).transpose(1, 2))[:1, :1, :1]

    class Nothing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x + 1.0)[:1, :1, :1]

    x = torch.randn(3, 197, 64)
    counts = [_instructions(device, m, x, path) for m in (Scores(), Nothing())]
    return "matmul, 3 x 197 x 64 x 197", (counts[0] - counts[1]) / (3 * 197 * 64 * 197)


def main() -> int:
    """Print the table and write it beside this file."""
    torch.manual_seed(0)
    rows: list[tuple[str, list[float | None]]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        open_runner("arm64-2.1.0", count=True) as device,
        quantized_engine(),
        one_thread(),
        quiet(),
        torch.no_grad(),
    ):
        path = Path(folder) / "layer.ptl"
        for name, (shape, layer) in LAYERS.items():
            x = torch.randn(shape)
            products = _products(layer, layer(x))
            row: list[float | None] = []
            for kind in KINDS:
                forms = _forms(layer, kind)
                counts = [] if forms is None else [_instructions(device, f, x, path) for f in forms]
                row.append((counts[0] - counts[1]) / products if counts else None)
            rows.append((name, row))
        name, each = attention(device, path)
        rows.append((name, [each, None, None, None]))
    out = [
        "# What one multiply-accumulate costs",
        "",
        "ARM64 instructions per multiply-accumulate, torch 2.1.0;",
        "`python -m tests.benchmarks.product_costs`. Blank: there is no such kernel.",
        "",
        f"| layer | {' | '.join(KINDS)} |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, row in rows:
        cells = ["" if value is None else f"{value:.3f}" for value in row]
        out.append(f"| {name} | {' | '.join(cells)} |")
    text = "\n".join(out) + "\n"
    print(text)
    (HERE / "product_costs.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
