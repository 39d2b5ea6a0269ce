"""How int8 is placed: clamps absorbed, neighbors joined, odd owners left alone."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from exporter.errors import (
    UnknownLayer,
)
from exporter.quantize.convert import convert
from exporter.quantize.engine import quantized_engine
from exporter.quantize.place import match_layers
from exporter.rewrites.trace import trace

from .nets import (
    Branching,
    Functional,
    Mobile,
    simulated,
    smooth,
)


@pytest.fixture
def mobile() -> nn.Module:
    return Mobile().eval()


def test_relu6_is_absorbed_and_the_range_ends_at_six(mobile: nn.Module) -> None:
    made, x = simulated(mobile)
    stem = made.layers["stem"]
    assert stem.clamp == (0.0, 6.0)
    assert isinstance(made.module.act, nn.Identity)
    grid = stem.grids[1]
    assert grid.zero_point == -128
    assert grid.scale * 255 <= 6.0 + 1e-5
    with quantized_engine():
        int8 = convert(made)
        out = int8.get_submodule("stem")(x)
    assert float(out.min()) >= 0.0
    assert float(out.max()) <= 6.0 + 1e-5


def test_int8_goes_straight_to_the_next_layer_but_not_over_a_residual(mobile: nn.Module) -> None:
    made, _ = simulated(mobile)
    # The stem's output is read twice (depthwise and the add), so it must come back to float.
    assert not made.layers["stem"].feeds_int8
    assert made.layers["depthwise"].feeds_int8
    assert made.layers["project"].reads_from == "depthwise"
    assert not made.layers["project"].feeds_int8
    assert made.layers["project"].grids[0] == made.layers["depthwise"].grids[1]


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_what_is_padded_with_zeros_is_not_rounded_again(value: float) -> None:
    """Zeros shift a histogram's best range, and lie on every grid anyway."""

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, stride=2)
            self.act, self.pad = nn.ReLU6(), nn.ConstantPad2d((0, 9, 0, 9), value)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.pad(self.act(self.a(x))))

    torch.manual_seed(0)
    made, x = simulated(Padded().eval(), observer="histogram")
    given, taken = made.layers["a"].grids[1], made.layers["b"].grids[0]
    assert (given == taken) == (value == 0.0)
    with torch.no_grad():
        made.simulate(["a"])
        once = made.module.pad(made.module.act(made.layers["a"](x)))
    codes = once / taken.scale
    on_grid = (codes - codes.round()).abs().max() < 1e-3
    assert bool(on_grid) == (value == 0.0)


def test_shared_relu_stays_in_place() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(self.b(self.relu(self.a(x))))

    made, _ = simulated(Shared().eval())
    assert isinstance(made.module.relu, nn.ReLU)


def test_layers_whose_owner_reads_their_weight_stay_float() -> None:
    class Owner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 1)
            self.called = nn.Linear(8, 8)
            self.never = nn.Linear(8, 8)
            self.read = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            x = self.called(self.conv(x).mean((2, 3)))
            x = functional.linear(x, self.never.weight, self.never.bias)
            return self.read(x) * self.read.weight.sum()

    made, _ = simulated(Owner().eval())
    assert set(made.layers) == {"conv", "called"}
    assert "not called" in made.float_layers["never"]
    assert "'weight'" in made.float_layers["read"]


def test_float_model_is_never_changed(mobile: nn.Module) -> None:
    before = {k: v.clone() for k, v in mobile.state_dict().items()}
    made, _ = simulated(mobile)
    with quantized_engine():
        convert(made)
    assert all(torch.equal(before[k], v) for k, v in mobile.state_dict().items())


def test_patterns_find_layers_and_unknown_names_get_the_nearest() -> None:
    names = ("blocks.0.attn.qkv", "blocks.0.mlp.fc1", "blocks.1.attn.qkv", "head")
    assert match_layers(["blocks.0"], names) == {"blocks.0.attn.qkv", "blocks.0.mlp.fc1"}
    assert match_layers(["*.qkv", "head"], names) == {
        "blocks.0.attn.qkv",
        "blocks.1.attn.qkv",
        "head",
    }
    with pytest.raises(UnknownLayer, match=r"blocks\.0\.attn\.qkv"):
        match_layers(["blocks.0.attn.qvk"], names)


def test_fx_sees_functional_relu_and_eager_does_not() -> None:
    model = Functional().eval()
    assert simulated(model, mode="eager")[0].layers["a"].clamp is None
    assert simulated(model, mode="fx")[0].layers["a"].clamp == (0.0, float("inf"))


def test_fx_makes_a_leaf_of_what_it_cannot_trace_and_still_quantizes_inside() -> None:
    model = nn.Sequential(Branching(), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Flatten()).eval()
    _, leaves = trace(model, smooth(1, 3, 8))
    assert leaves == ("0",)
    made, _ = simulated(model, mode="fx")
    assert set(made.layers) == {"0.conv", "2"}
