"""Count and time the ways to write one attention, on the phone's runtime and here.

    python -m tests.benchmarks.attention

Each form takes what the qkv Linear gives (`[batch, tokens, 3 x heads x size]`) and gives what the
projection reads. Instructions are of PyTorch 2.1's ARM64 build (exact and repeatable), milliseconds
of the lite interpreter on this machine, one thread, medians of interleaved rounds. The command
checks that all float forms compute the same. Needs `python -m runtime_check device install`.
Writes `attention.md` beside this file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from exporter.environment import one_thread
from exporter.quiet import quiet
from runtime_check.device.runner import open_runner
from runtime_check.runtimes.lite import load_lite, quantized_engine, write_lite

HERE = Path(__file__).parent
_ROUNDS = 40


@dataclass(frozen=True)
class Shape:
    """One attention: `batch` windows or images of `tokens`, `heads` of `size` features."""

    what: str
    batch: int
    tokens: int
    heads: int
    size: int


SHAPES = (
    Shape("ViT-Tiny/16, 224 pixels", 1, 197, 3, 64),
    Shape("ViT-Base/16, 224 pixels", 1, 197, 12, 64),
    Shape("ViT-Base/32, 224 pixels", 1, 50, 12, 64),
    Shape("ViT-Tiny/8, 224 pixels", 1, 785, 3, 64),
    Shape("Swin-Tiny, first stage (64 windows)", 64, 49, 3, 32),
)

Form = Callable[[Shape, Tensor], Tensor]


def _parts(shape: Shape, x: Tensor) -> tuple[Tensor, ...]:
    y = x.reshape(shape.batch, shape.tokens, 3, shape.heads, shape.size)
    return y.permute(2, 0, 3, 1, 4).unbind(0)


def _merged(shape: Shape, y: Tensor) -> Tensor:
    return y.transpose(1, 2).reshape(shape.batch, shape.tokens, shape.heads * shape.size)


def products(shape: Shape, x: Tensor) -> Tensor:
    """Two products with a softmax between: what timm writes for export."""
    q, k, v = _parts(shape, x)
    return _merged(shape, (q @ k.transpose(-2, -1)).softmax(-1) @ v)


def turned_keys(shape: Shape, x: Tensor) -> Tensor:
    """The same, with the transposed keys laid out anew."""
    q, k, v = _parts(shape, x)
    return _merged(shape, (q @ k.transpose(-2, -1).contiguous()).softmax(-1) @ v)


def contiguous(shape: Shape, x: Tensor) -> Tensor:
    """The same, with q, k and v laid out anew."""
    q, k, v = (part.contiguous() for part in _parts(shape, x))
    return _merged(shape, (q @ k.transpose(-2, -1)).softmax(-1) @ v)


def split(shape: Shape, x: Tensor) -> Tensor:
    """Cut q, k and v apart first, as three linear layers would give them."""
    q, k, v = (
        part.reshape(shape.batch, shape.tokens, shape.heads, shape.size).transpose(1, 2)
        for part in x.chunk(3, -1)
    )
    return _merged(shape, (q @ k.transpose(-2, -1)).softmax(-1) @ v)


def scores_transposed(shape: Shape, x: Tensor) -> Tensor:
    """Keys times queries, softmax over the first dimension."""
    q, k, v = _parts(shape, x)
    weights = (k @ q.transpose(-2, -1)).softmax(-2)
    return _merged(shape, (v.transpose(-2, -1) @ weights).transpose(-2, -1))


def fused(shape: Shape, x: Tensor) -> Tensor:
    """scaled_dot_product_attention."""
    q, k, v = _parts(shape, x)
    return _merged(shape, scaled_dot_product_attention(q, k, v, scale=1.0))


def head_by_head(shape: Shape, x: Tensor) -> Tensor:
    """One head after the other."""
    q, k, v = (part.unbind(1) for part in _parts(shape, x))
    return torch.cat(
        [(a @ b.transpose(-2, -1)).softmax(-1) @ c for a, b, c in zip(q, k, v, strict=True)], -1
    )


def int8_products(shape: Shape, x: Tensor) -> Tensor:
    """Both products as quantized::matmul: it has no int8 kernel, and multiplies floats inside."""
    codes = torch.quantize_per_tensor(x, 0.05, 0, torch.qint8)
    y = codes.reshape(shape.batch, shape.tokens, 3, shape.heads, shape.size).permute(2, 0, 3, 1, 4)
    q, k, v = (y.select(0, part).contiguous() for part in range(3))
    matmul = torch.ops.quantized.matmul
    weights = matmul(q, k.transpose(-2, -1).contiguous(), 0.5, 0).dequantize().softmax(-1)
    weights = torch.quantize_per_tensor(weights, 1 / 255, -128, torch.qint8)
    return _merged(shape, matmul(weights, v, 0.05, 0).dequantize())


_INT8 = "int8 products (quantized::matmul)"
FORMS: dict[str, Form] = {
    "products and softmax": products,
    "transposed keys laid out anew": turned_keys,
    "q, k and v laid out anew": contiguous,
    "q, k and v cut first": split,
    "scores transposed": scores_transposed,
    "head by head": head_by_head,
    "fused (scaled_dot_product_attention)": fused,
    _INT8: int8_products,
}


class _Form(nn.Module):
    def __init__(self, form: Form, shape: Shape) -> None:
        super().__init__()
        self.form = form
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return self.form(self.shape, x)


def measure(shape: Shape) -> dict[str, tuple[int, float]]:
    """Return ARM64 instructions and milliseconds of each form.

    Raises ValueError where a form computes something else than the first.
    """
    torch.manual_seed(0)
    x = torch.randn(shape.batch, shape.tokens, 3 * shape.heads * shape.size)
    counts, loaded = {}, {}
    expected: Tensor | None = None
    with tempfile.TemporaryDirectory() as folder, open_runner("arm64-2.1.0", count=True) as device:
        for name, form in FORMS.items():
            captured = torch.jit.trace(_Form(form, shape).eval(), (x,), check_trace=False)
            path = str(Path(folder) / "attention.ptl")
            write_lite(torch.jit.freeze(captured.eval()), path)
            device.load(path)
            counts[name] = device.forward([x.numpy()], repeats=2).instructions or 0
            loaded[name] = load_lite(path)
            out = loaded[name](x)
            expected = out if expected is None else expected
            same = torch.allclose(out, expected, rtol=1e-4, atol=1e-4)
            if not same and name != _INT8:
                raise ValueError(f"{name}: {float((out - expected).abs().max()):.2g} off")
    times: dict[str, list[float]] = {name: [] for name in FORMS}
    for _ in range(_ROUNDS):
        for name, module in loaded.items():
            started = time.perf_counter()
            module(x)
            times[name].append(1e3 * (time.perf_counter() - started))
    return {name: (counts[name], statistics.median(times[name][3:])) for name in FORMS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and write them beside this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.parse_args(arguments)
    out = ["# Forms of attention", "", "`python -m tests.benchmarks.attention`"]
    with quantized_engine(), one_thread(), quiet(), torch.no_grad():
        for shape in SHAPES:
            found = measure(shape)
            out += ["", f"## {shape.what}: {shape.heads} heads of {shape.size}", ""]
            out += [
                "| form | M ARM64 instructions, torch 2.1.0 | ms here, x86 |",
                "|---|---:|---:|",
            ]
            out += [
                f"| {name} | {count / 1e6:.2f} | {ms:.2f} |" for name, (count, ms) in found.items()
            ]
            print("\n".join(out[-len(found) - 4 :]), flush=True)
    (HERE / "attention.md").write_text("\n".join(out) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
