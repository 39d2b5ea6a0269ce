"""Measure what each pass is worth in a `.pte`: lower without it, and count ARM64 instructions.

    python -m tests.benchmarks.programs [--only lite0]

A network alone, float [1, 3, 224, 224] in, one thread, on ExecuTorch's own ARM64 runtime under
emulation, with a Cortex-A76's core list. `-NAME` leaves a pass out that is taken, `+NAME` takes one
that is left out in this format. int8 is calibrated on noise: what is counted does not depend on
values. Also single operators in both forms, an instruction count for each value. Needs the extra
`executorch` and `python -m runtime_check device install arm64-executorch`; takes half an hour.
Writes `programs.md` beside this file.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from exporter.environment import one_thread
from exporter.executorch.delegable import rewrite_program
from exporter.executorch.qdq import to_qdq
from exporter.quantize.activations import GeluFit, SimulatedGelu, SimulatedSoftmax, fit_gelu
from exporter.quantize.apply import QuantizeImages, quantize
from exporter.quiet import quiet
from exporter.recipes import QuantizeRecipe
from exporter.rewrites import Evidence, PassEffect, left_out, rewrite
from exporter.source import load_source
from runtime_check.comparison import Tolerance
from runtime_check.device.runner import open_runner
from tests.exporter.executorch.programs import left_outside, lowered

HERE = Path(__file__).parent
RUNTIME = "arm64-executorch"
# Model, quantization, and what is changed about the passes, one by one.
CASES = (
    ("tf_efficientnet_lite0", "none", ("+flip-same-padding", "+channels-last")),
    ("tf_efficientnet_lite0", "static", ("+flip-same-padding", "+channels-last")),
    (
        "deit_tiny_patch16_224",
        "none",
        (
            "-plain-patches",
            "-plain-attention",
            "-plain-layer-norms",
            "-plain-views",
            "-keep-read-tokens",
        ),
    ),
    ("deit_tiny_patch16_224", "static", ("-plain-layer-norms", "-keep-read-tokens")),
)


def _passes(change: str, method: str) -> dict[str, PassEffect]:
    """Return the passes to skip, with one taken in (`+NAME`) or out (`-NAME`)."""
    disable = [change[1:]] if change.startswith("-") else []
    off = dict(left_out(disable, method=method, format="pte"))
    if change.startswith("+"):
        off.pop(change[1:])
    return off


def _program(name: str, method: str, change: str, x: Tensor) -> object:
    """Lower a model as `--format pte` does; return ExecuTorch's edge program."""
    torch.manual_seed(0)
    model = load_source(name, random_weights="lite0" not in name).module
    off = _passes(change, method)
    with torch.no_grad():
        expected = model(x)
    tolerance = Tolerance(rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    network = rewrite(model, Evidence([(x,)], [[expected]], tolerance), left_out=off).module
    if method == "static":
        recipe = QuantizeRecipe(method="static", observer="minmax", cheap_activations=False)
        noise = [torch.randn(8, 3, 224, 224)]
        images = QuantizeImages(example=x, calibration=noise, allow_noise=True)
        made = quantize(network, recipe, images)
        assert made.simulated is not None
        network = to_qdq(made.simulated)
    return lowered(network, x, lambda exported: rewrite_program(exported, off))


def _count(edge: object, x: Tensor, folder: Path) -> int:
    """Return the instructions of one inference, packing not counted."""
    path = folder / "network.pte"
    path.write_bytes(edge.to_executorch().buffer)  # type: ignore[attr-defined]  # executorch is untyped
    with open_runner(RUNTIME, count=True, timeout=1800) as device:
        device.load(path)
        return device.forward([np.asarray(x)], repeats=2).instructions or 0


class _Polynomial(nn.Module):
    """GELU as the `.ptl` has it next to int8."""

    def __init__(self, fit: GeluFit) -> None:
        super().__init__()
        self.gelu = SimulatedGelu(nn.GELU(), name="", source="", reader="")
        self.gelu.fit, self.gelu.simulating = fit, True

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.gelu(x)
        return out


def _power_softmax() -> nn.Module:
    softmax = SimulatedSoftmax(name="")
    softmax.simulating = True
    return softmax


# Operator, form, module, shape of its input, passes on programs to leave out.
OPERATORS: tuple[tuple[str, str, nn.Module, tuple[int, ...], tuple[str, ...]], ...] = (
    ("GELU", "exact", nn.GELU(), (1, 197, 768), ()),
    ("GELU", "polynomial", _Polynomial(fit_gelu(-3.0, 3.0)), (1, 197, 768), ()),
    ("softmax", "exact", nn.Softmax(-1), (3, 197, 197), ()),
    ("softmax", "power", _power_softmax(), (3, 197, 197), ()),
    ("LayerNorm", "torch's", nn.LayerNorm(192), (1, 197, 192), ("plain-layer-norms",)),
    ("LayerNorm", "plain", nn.LayerNorm(192), (1, 197, 192), ()),
)


def _operators(folder: Path) -> list[str]:
    out = [
        "",
        "| operator | form | ARM64 instructions a value | left outside of XNNPACK |",
        "|---|---|---:|---|",
    ]
    for name, form, module, shape, without in OPERATORS:
        x = torch.randn(shape)
        off = left_out(without, format="pte")
        edge = lowered(module.eval(), x, lambda exported, off=off: rewrite_program(exported, off))
        each = _count(edge, x, folder) / x.numel()
        outside = ", ".join(sorted(set(left_outside(edge)))) or "nothing"
        out.append(f"| {name} | {form} | {each:.1f} | {outside} |")
        print(out[-1], flush=True)
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, and write them beside this file unless only some were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose model's name holds this")
    only = parser.parse_args(arguments).only
    torch.manual_seed(0)
    x = torch.randn(1, 3, 224, 224)
    out = [
        "# What each pass is worth in a `.pte`",
        "",
        "`-NAME` leaves a pass out, `+NAME` takes one that this format leaves out. The network "
        "alone, one thread. `python -m tests.benchmarks.programs`.",
        "",
        "| model | int8 | passes | M ARM64 instructions | / as exported | delegates |",
        "|---|---|---|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as scratch, one_thread(), quiet():
        for name, method, changes in CASES:
            if only not in name:
                continue
            first = 0
            for change in ("", *changes):
                edge = _program(name, method, change, x)
                count = _count(edge, x, Path(scratch))
                first = first or count
                pieces = _delegates(edge)
                out.append(
                    f"| {name} | {method} | {change or 'as exported'} | {count / 1e6:.1f} | "
                    f"{count / first:.3f} | {pieces} |"
                )
                print(out[-1], flush=True)
        out += _operators(Path(scratch))
    if not only:
        (HERE / "programs.md").write_text("\n".join(out) + "\n", encoding="utf-8")
    return 0


def _delegates(edge: object) -> int:
    nodes = edge.exported_program().graph.nodes  # type: ignore[attr-defined]  # executorch is untyped
    return sum("executorch_call_delegate" in str(node.target) for node in nodes)


if __name__ == "__main__":
    raise SystemExit(main())
