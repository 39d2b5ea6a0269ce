"""Modules as people have them, exported, and the file against the same thing written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.jit.mobile import _load_for_lite_interpreter

import exporter
from exporter.errors import ExportError


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )


def by_hand(net: nn.Sequential, x: Tensor) -> Tensor:
    """What `plain` computes, from its tensors in float64."""
    conv, head = net[0], net[4]
    y = nn.functional.conv2d(x.double(), conv.weight.double(), conv.bias.double(), stride=2)
    y = y.clamp(min=0).mean((2, 3))
    return (y @ head.weight.double().T + head.bias.double()).detach()


def export(module: nn.Module, out: Path, **options: Any) -> exporter.Artifact:
    options = {"input_shape": (1, 3, 16, 16), "name": "net"} | options
    return exporter.export(module, out=out, **options)


def said(artifact: exporter.Artifact) -> list[str]:
    notes = json.loads(artifact.path.with_suffix(".report.json").read_text())["notes"]
    return [note["text"] for note in notes]


@pytest.mark.parametrize(
    ("wrap", "says"),
    [
        (nn.Sequential.half, "weights were converted to float32 (4 in float16)"),
        (nn.Sequential.bfloat16, "weights were converted to float32 (4 in bfloat16)"),
        (nn.Sequential.double, "weights were converted to float32 (4 in float64)"),
        (nn.DataParallel, "DataParallel around the module was taken off"),
        (torch.compile, "torch.compile around the module was taken off"),
        (torch.jit.script, "the module is TorchScript already and is taken as it is"),
        (
            lambda net: torch.jit.trace(net, torch.zeros(1, 3, 16, 16)),
            "the module is TorchScript already and is taken as it is",
        ),
        (
            lambda net: torch.jit.freeze(torch.jit.script(net.eval())),
            "the module is TorchScript already and is taken as it is",
        ),
    ],
    ids=["half", "bfloat16", "double", "parallel", "compiled", "scripted", "traced", "frozen"],
)
def test_a_file_computes_what_is_in_the_wrapper(wrap: Any, says: str, tmp_path: Path) -> None:
    net = plain()
    artifact = export(wrap(net), tmp_path)  # `half` and the like change `net` itself
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    got = _load_for_lite_interpreter(str(artifact.path))(x)
    torch.testing.assert_close(got.double(), by_hand(net, x), atol=1e-6, rtol=1e-5)
    assert says in said(artifact)


def test_torchscript_is_not_quantized(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is TorchScript already") as refused:
        export(torch.jit.script(plain()), tmp_path, quantize="dynamic")
    assert "leave --quantize out" in str(refused.value)
    assert not list(tmp_path.iterdir())
