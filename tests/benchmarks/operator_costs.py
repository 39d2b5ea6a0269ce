"""Count what single operators cost on the phone's runtime, and time them here.

    python -m tests.benchmarks.operator_costs [NAME ...]

Each row is one operator on a float32 or int8 tensor of 197 x 768, a ViT-Tiny MLP activation:
instructions per value on PyTorch 2.1's ARM64 build (exact and repeatable), and microseconds in the
lite interpreter on this machine, one thread, median. What it takes to get the tensor there
(quantizing, for the int8 rows) is counted apart and taken off. Needs
`python -m runtime_check device install`. Writes `operator_costs.md` beside this file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from exporter.environment import one_thread
from exporter.quantize.activations import PolynomialGelu, PowerSoftmax, fit_gelu
from exporter.quiet import quiet
from runtime_check.device.runner import open_runner
from runtime_check.runtimes.lite import load_lite, quantized_engine, write_lite

SHAPE = (197, 768)
HERE = Path(__file__).parent
_REPEATS = 40


class _Cheap(nn.Module):
    """Compute a float operator on a copy of the input, and return one value of the result."""

    def __init__(self, operator: nn.Module) -> None:
        super().__init__()
        self.operator = operator

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.operator(x + 1.0)
        return out.reshape(-1)[:1]


def _quint8(x: Tensor) -> Tensor:
    return torch.quantize_per_tensor(x, 0.05, 120, torch.quint8)


def _qint8(x: Tensor) -> Tensor:
    return torch.quantize_per_tensor(x, 0.05, -10, torch.qint8)


def _one(x: Tensor) -> Tensor:
    return x.reshape(-1)[:1]


# Name -> (function of the float input, name of the row that it is compared with).
CASES: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "float": (lambda x: _one(x), ""),
    "multiply": (lambda x: _one(x * x), "float"),
    "clamp": (lambda x: _one(x.clamp(-1.0, 1.0)), "float"),
    "exp": (lambda x: _one(x.exp()), "float"),
    "sigmoid": (lambda x: _one(x.sigmoid()), "float"),
    "gelu": (lambda x: _one(nn.functional.gelu(x)), "float"),
    "hardswish": (lambda x: _one(nn.functional.hardswish(x)), "float"),
    "softmax": (lambda x: _one(x.softmax(-1)), "float"),
    "layer_norm": (lambda x: _one(torch.layer_norm(x, [768])), "float"),
    "copy": (lambda x: _one(x + 1.0), ""),
    "polynomial gelu": (_Cheap(PolynomialGelu(fit_gelu(-6, 6))), "copy"),
    "power softmax": (_Cheap(PowerSoftmax()), "copy"),
    "quantize": (lambda x: _one(_qint8(x)).dequantize(), "float"),
    "int8": (lambda x: _one(_qint8(x)).dequantize(), ""),
    "dequantize": (lambda x: _one(_qint8(x).dequantize()), "int8"),
    "qint8 multiply": (
        lambda x: _one(torch.ops.quantized.mul(_qint8(x), _qint8(x), 0.1, 0)).dequantize(),
        "int8 twice",
    ),
    "int8 twice": (lambda x: _one(_qint8(x)).dequantize() + _one(_qint8(x)).dequantize(), ""),
    "qint8 sigmoid": (lambda x: _one(_qint8(x).sigmoid()).dequantize(), "int8"),
    "quint8": (lambda x: _one(_quint8(x)).dequantize(), ""),
    "quint8 sigmoid": (lambda x: _one(_quint8(x).sigmoid()).dequantize(), "quint8"),
    "quint8 softmax": (
        lambda x: _one(torch.ops.quantized.softmax(_quint8(x), -1, 1 / 256, 0)).dequantize(),
        "quint8",
    ),
}


def _measure(names: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Return instructions and microseconds of each case, whole."""
    torch.manual_seed(0)
    x = torch.randn(SHAPE)
    found = {}
    with tempfile.TemporaryDirectory() as folder, open_runner("arm64-2.1.0", count=True) as device:
        for name in names:
            module = CASES[name][0]
            whole = module if isinstance(module, nn.Module) else _Function(module)
            captured = torch.jit.trace(whole.eval(), (x,), check_trace=False)
            path = Path(folder) / "operator.ptl"
            write_lite(torch.jit.freeze(captured.eval()), path)
            device.load(path)
            instructions = device.forward([x.numpy()], repeats=2).instructions or 0
            lite = load_lite(path)
            times = []
            for _ in range(_REPEATS):
                started = time.perf_counter()
                lite(x)
                times.append(time.perf_counter() - started)
            found[name] = (instructions, 1e6 * statistics.median(times[3:]))
    return found


class _Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and write it beside this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(CASES)} (default: all)")
    options = parser.parse_args(arguments)
    shown = [n for n in options.names or CASES if CASES[n][1]]
    wanted = [n for n in CASES if n in shown or n in {CASES[s][1] for s in shown}]
    with quantized_engine(), one_thread(), quiet(), torch.no_grad():
        found = _measure(wanted)
    out = [
        "# What single operators cost",
        "",
        f"On a tensor of {SHAPE[0]} x {SHAPE[1]}; `python -m tests.benchmarks.operator_costs`.",
        "",
        "| operator | ARM64 instructions a value, torch 2.1.0 | microseconds here, x86 |",
        "|---|---:|---:|",
    ]
    values = SHAPE[0] * SHAPE[1]
    for name in shown:
        (count, micro), (base, base_micro) = found[name], found[CASES[name][1]]
        out.append(f"| {name} | {(count - base) / values:.2f} | {micro - base_micro:.0f} |")
    print("\n".join(out))
    if not options.names:
        (HERE / "operator_costs.md").write_text("\n".join(out) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
