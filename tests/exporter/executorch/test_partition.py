"""Sums, products and means between int8 layers are computed in float, as our int8 module does."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from exporter.executorch.delegable import rewrite_program
from exporter.executorch.qdq import to_qdq
from exporter.quantize.apply import QuantizeImages, quantize
from exporter.quantize.engine import quantized_engine
from exporter.recipes import RECIPES

from ..quantize.nets import smooth
from .programs import left_outside, lowered, run


class Sums(nn.Module):
    """Tensors of several int8 layers, added and multiplied, and read by one more each."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 32, 1)
        self.third, self.last = nn.Conv2d(32, 32, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = self.third(x + self.second(x))
        out: Tensor = self.last(x * self.second(x))
        return out


def test_a_network_with_sums_and_products_is_equal_to_the_bit() -> None:
    torch.manual_seed(0)
    x = smooth(8, 3, 64)
    images = QuantizeImages(example=x[:1], calibration=[x])
    made = quantize(Sums().eval(), RECIPES["static-xnnpack"], images)
    assert made.simulated is not None
    program = lowered(to_qdq(made.simulated), x[:1], rewrite_program)
    assert left_outside(program) == []
    theirs = torch.cat(run(program, list(x.split(1))))
    with quantized_engine(), torch.no_grad():
        ours = torch.cat([made.module(image) for image in x.split(1)])
    assert torch.equal(ours, theirs)
