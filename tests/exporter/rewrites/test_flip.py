"""Networks on rotated images: exact where the pass applies, unchanged elsewhere."""

from __future__ import annotations

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from exporter.rewrites import PassEffect
from exporter.rewrites.flip import flip_same_padding
from exporter.rewrites.trace import trace

from .nets import rewritten, with_random_parameters


def same_padded(name: str) -> nn.Module:
    """Build one of timm's TensorFlow ports with every parameter random: zeros hide mistakes."""
    torch.manual_seed(0)
    model = timm.create_model(name, exportable=True, num_classes=7)
    return with_random_parameters(model, mean=0.02)


def pads(module: nn.Module) -> int:
    return sum(isinstance(child, nn.ConstantPad2d) for child in module.modules())


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("tf_efficientnet_lite0", 64),
        ("tf_efficientnet_lite0", 90),  # some layers meet odd sizes, which need no pad
        ("tf_efficientnet_b0", 64),  # squeeze and excite, SiLU
        ("tf_mobilenetv3_small_075", 64),  # hard-swish, hard gates
        ("tf_mixnet_s", 64),  # kernels of several sizes side by side
    ],
)
def test_ports_of_tensorflow_lose_their_pads(name: str, side: int) -> None:
    model = same_padded(name)
    off = {"flip-same-padding": PassEffect("disabled")}
    count = pads(rewritten(model, side, left_out=off).module)
    assert count >= 3
    result = rewritten(model, side)
    assert result.effects["flip-same-padding"].count == count
    assert pads(result.module) == 0


def test_a_network_without_pads_is_left_alone() -> None:
    result = rewritten(same_padded("mobilenetv2_035"), 64)
    assert str(result.effects["flip-same-padding"]) == "not applied: nothing matched"


class _Head(nn.Module):
    """A padded convolution and what comes after it."""

    def __init__(self, after: nn.Module) -> None:
        super().__init__()
        self.pad = nn.ConstantPad2d((0, 1, 0, 1), 0.0)
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.after(self.conv(self.pad(x)))
        return out


class _Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class _Ramp(nn.Module):
    """Weigh places differently, so that up and down are not alike."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(16.0)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).mean((2, 3))


@pytest.mark.parametrize(
    "after",
    [
        nn.Identity(),  # the map is the output
        nn.Flatten(),
        _Ramp(),
        nn.AdaptiveAvgPool2d(2),
        # Equal padding looks at its left and top, and at even sizes not at its right and bottom.
        nn.Sequential(nn.Conv2d(4, 4, 3, stride=2, padding=1), _Mean()),
        nn.Sequential(nn.MaxPool2d(3, 2, 1), _Mean()),
        nn.Sequential(nn.ConstantPad2d((0, 1, 0, 1), 1.0), nn.Conv2d(4, 4, 3), _Mean()),
    ],
)
def test_where_up_and_down_differ_it_is_left_alone(after: nn.Module) -> None:
    traced, _ = trace(_Head(after).eval(), torch.randn(1, 3, 32, 32))
    assert flip_same_padding(traced, torch.randn(1, 3, 32, 32)) == 0
    assert pads(traced) >= 1


def test_a_convolution_called_twice_is_left_alone() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pad = nn.ConstantPad2d((0, 1, 0, 1), 0.0)
            self.conv = nn.Conv2d(3, 3, 3, stride=2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(self.pad(x))
            return self.conv(y).mean((2, 3))

    traced, _ = trace(Twice().eval(), torch.randn(1, 3, 32, 32))
    assert flip_same_padding(traced, torch.randn(1, 3, 32, 32)) == 0


@given(
    size=st.tuples(st.integers(5, 20), st.integers(5, 20)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.integers(1, 2),
    padding=st.tuples(*[st.integers(0, 3)] * 4),
    own=st.integers(0, 1),
    groups=st.sampled_from((1, 3)),
)
def test_whatever_it_turns_computes_the_same(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: int,
    padding: tuple[int, int, int, int],
    own: int,
    groups: int,
) -> None:
    if any(s + 2 * own < dilation * (k - 1) + 1 for s, k in zip(size, kernel, strict=True)):
        return
    torch.manual_seed(0)
    convolution = nn.Conv2d(
        3, 6, kernel, stride=stride, dilation=dilation, padding=own, groups=groups
    )
    module = nn.Sequential(nn.ConstantPad2d(padding, 0.0), convolution, nn.ReLU(), _Mean()).eval()
    x = torch.randn(2, 3, *size)
    traced, _ = trace(module, x)
    with torch.no_grad():
        wanted = module(x)
        turned = flip_same_padding(traced, x)
        assert turned == 1 - pads(traced)
        assert torch.allclose(traced(x), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", [32, 33, 47])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_same_padding_of_any_size_is_turned(side: int, kernel: int) -> None:
    """TensorFlow's rule: ceil(size / stride) places, the odd one of the padding at the far side."""
    total = max(0, (-(-side // 2) - 1) * 2 + kernel - side)
    before, after = total // 2, total - total // 2
    module = nn.Sequential(
        nn.ConstantPad2d((before, after, before, after), 0.0),
        nn.Conv2d(3, 4, kernel, stride=2),
        _Mean(),
    ).eval()
    traced, _ = trace(module, torch.randn(1, 3, side, side))
    assert flip_same_padding(traced, torch.randn(1, 3, side, side)) == 1
