"""RMSNorm from operators that PyTorch 2.1 has."""

from __future__ import annotations

import timm
import torch
from torch import Tensor, nn

from exporter.rewrites.rms_norm import plain_rms_norms

from .nets import edited_exactly


class RmsNet(nn.Module):
    """RMSNorm with and without weights, over one and two dimensions, torch's and timm's."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.RMSNorm(16)
        self.second = nn.RMSNorm((8, 16), eps=1e-3, elementwise_affine=False)
        self.third = timm.layers.RmsNorm(16)
        nn.init.normal_(self.first.weight)
        nn.init.normal_(self.third.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.third(self.second(self.first(x)))
        return out


def test_rms_norms_are_written_out() -> None:
    torch.manual_seed(0)
    example = torch.randn(1, 3, 8, 16)
    edits, module = edited_exactly(RmsNet().eval(), plain_rms_norms, example)
    assert edits == 3
    assert plain_rms_norms(module, example) == []
    assert "aten::rms_norm" not in str(torch.jit.script(module).inlined_graph)


def test_a_norm_that_does_more_stays() -> None:
    class ScaledNorm(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.rms_norm(2 * x, (16,))

    module = nn.Sequential(ScaledNorm()).eval()
    assert plain_rms_norms(module, torch.randn(1, 3, 8, 16)) == []
