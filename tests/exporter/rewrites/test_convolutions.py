"""Convolutions that XNNPACK can prepack, and their input in the layout that it wants."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.layers import StdConv2d
from torch import nn

from exporter.rewrites.convolutions import channels_last, plain_convolutions
from exporter.rewrites.layers import is_plain_conv

from .nets import edited_exactly


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "tf_mobilenetv3_small_minimal_100"])
def test_same_padding_becomes_plain(name: str) -> None:
    torch.manual_seed(0)
    module = timm.create_model(name).eval()
    edits, plain = edited_exactly(module, plain_convolutions, torch.randn(1, 3, 96, 96))
    assert edits > 0
    assert all(
        type(m).forward is nn.Conv2d.forward for m in plain.modules() if isinstance(m, nn.Conv2d)
    )


@pytest.mark.parametrize("kernel", [3, 4])
def test_padding_given_by_name_becomes_numbers(kernel: int) -> None:
    """Kernels of even size pad more after the picture than before it."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, kernel, padding="same")).eval()
    edits, plain = edited_exactly(module, plain_convolutions, torch.randn(1, 3, 16, 16))
    assert edits == 1
    assert sum(is_plain_conv(child) for child in plain.modules()) == 1
    assert plain_convolutions(plain, torch.randn(1, 3, 16, 16)) == []


def test_standardized_weights_are_computed_once() -> None:
    module = timm.create_model("resnetv2_50d_gn").eval()
    module.stages[0].blocks[0].conv1 = StdConv2d(64, 64, 1)
    edits, _ = edited_exactly(module.eval(), plain_convolutions, torch.randn(1, 3, 64, 64))
    assert edits == 1


def test_a_convolution_called_on_two_sizes_stays() -> None:
    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = timm.layers.Conv2dSame(3, 3, 3, stride=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.conv(self.conv(x))
            return out

    assert plain_convolutions(Pyramid().eval(), torch.randn(1, 3, 32, 32)) == []


@pytest.mark.parametrize("name", ["resnet10t", "tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_first_convolution_reads_channels_last_once(name: str) -> None:
    torch.manual_seed(0)
    options = {"img_size": 64} if "vit" in name else {}
    module = timm.create_model(name, **options).eval()
    example = torch.randn(1, 3, 64, 64)
    _, plain = edited_exactly(module, plain_convolutions, example)
    edits, laid_out = edited_exactly(plain, channels_last, example)
    assert edits == 1
    assert channels_last(laid_out, example) == []
    given: list[torch.Tensor] = []
    first = next(m for m in laid_out.modules() if isinstance(m, nn.Conv2d))
    first.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    laid_out(example)
    assert given[0].is_contiguous(memory_format=torch.channels_last)


def test_what_is_not_an_image_has_no_channels_to_lay_out() -> None:
    assert channels_last(nn.Sequential(nn.Linear(4, 4)), torch.randn(2, 4)) == []
