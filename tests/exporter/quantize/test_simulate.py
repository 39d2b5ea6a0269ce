"""How int8 is placed: clamps absorbed, neighbours joined, odd owners left alone."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from exporter.errors import CalibrationError, QuantizeError, UnknownLayer
from exporter.quantize.apply import QuantizeImages, quantize
from exporter.quantize.calibrate import calibrate
from exporter.quantize.convert import convert
from exporter.quantize.engine import quantized_engine
from exporter.quantize.place import match_layers, simulate_int8
from exporter.quantize.weights import weight_scales
from exporter.recipes import RECIPES, QuantizeRecipe
from exporter.rewrites.trace import trace


def smooth(batch: int, channels: int, size: int) -> torch.Tensor:
    coarse = torch.randn(batch, channels, max(2, size // 4), max(2, size // 4))
    return functional.interpolate(coarse, (size, size), mode="bilinear")


class Mobile(nn.Module):
    """Conv, BatchNorm with statistics, ReLU6, depthwise, residual add, pool, Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.act = nn.ReLU6()
        self.depthwise = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.act2 = nn.ReLU()
        self.project = nn.Conv2d(16, 16, 1)
        self.head = nn.Linear(16, 10)
        for tensor in (self.norm.running_mean, self.norm.weight, self.norm.bias):
            nn.init.normal_(tensor, 1.0)
        nn.init.uniform_(self.norm.running_var, 0.5, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.norm(self.stem(x)))
        x = x + self.project(self.act2(self.depthwise(x)))
        return self.head(x.mean((2, 3)))


@pytest.fixture
def mobile() -> nn.Module:
    return Mobile().eval()


def simulated(model, recipe="static-xnnpack", **changes):
    x = smooth(8, 3, 32)
    made = simulate_int8(model, replace(RECIPES[recipe], **changes), example=x[:1], calibration=[x])
    calibrate(made, [x])
    return made, x


def test_relu6_is_absorbed_and_the_range_ends_at_six(mobile):
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


def test_int8_goes_straight_to_the_next_layer_but_not_over_a_residual(mobile):
    made, _ = simulated(mobile)
    # The stem's output is read twice (depthwise and the add), so it must come back to float.
    assert not made.layers["stem"].feeds_int8
    assert made.layers["depthwise"].feeds_int8
    assert made.layers["project"].reads_from == "depthwise"
    assert not made.layers["project"].feeds_int8
    assert made.layers["project"].grids[0] == made.layers["depthwise"].grids[1]


class Forks(nn.Module):
    """A pooled tensor that two convolutions read, and a convolution that two others read."""

    def __init__(self, *, in_place: bool = False) -> None:
        super().__init__()
        self.in_place = in_place
        self.left, self.right = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)
        self.up, self.down = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        x = functional.avg_pool2d(x, 2)
        left = self.left(x)
        if self.in_place:
            x.mul_(-0.5)
        return self.up(left) + self.down(left) + self.right(x)


def converted(model: nn.Module) -> tuple[nn.Module, torch.Tensor, list[str]]:
    """The int8 module, its distance from the simulation, and its graph's operators."""
    torch.manual_seed(0)
    images = torch.randn(4, 3, 16, 16)
    recipe = QuantizeRecipe.named("static", mode="fx")
    with quantized_engine():
        made = simulate_int8(model.eval(), recipe, example=images[:1], calibration=[images])
        calibrate(made, [images])
        made.simulate(made.layers)
        int8 = convert(made)
        with torch.no_grad():
            off = (int8(images[:1]) - made.module(images[:1])).abs().max()
            traced = torch.jit.trace(int8, images[:1])
        torch._C._jit_pass_inline(traced.graph)
    return int8, off, [node.kind() for node in traced.graph.nodes()]


def test_what_several_int8_layers_read_is_quantised_once_and_never_made_float():
    _, off, operators = converted(Forks())
    assert float(off) < 0.1
    assert operators.count("aten::quantize_per_tensor") == 1  # for left and right
    assert operators.count("quantized::conv2d") == 4
    assert operators.count("aten::dequantize") == 3  # left goes to up and down as int8


def test_a_tensor_changed_in_place_is_quantised_anew():
    _, off, operators = converted(Forks(in_place=True))
    assert float(off) < 0.1
    assert operators.count("aten::quantize_per_tensor") == 2


def test_shared_relu_stays_in_place():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
            self.relu = nn.ReLU()

        def forward(self, x):
            return self.relu(self.b(self.relu(self.a(x))))

    made, _ = simulated(Shared().eval())
    assert isinstance(made.module.relu, nn.ReLU)


def test_layers_whose_owner_reads_their_weight_stay_float():
    class Owner(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 1)
            self.called = nn.Linear(8, 8)
            self.never = nn.Linear(8, 8)
            self.read = nn.Linear(8, 8)

        def forward(self, x):
            x = self.called(self.conv(x).mean((2, 3)))
            x = functional.linear(x, self.never.weight, self.never.bias)
            return self.read(x) * self.read.weight.sum()

    made, _ = simulated(Owner().eval())
    assert set(made.layers) == {"conv", "called"}
    assert "not called" in made.float_layers["never"]
    assert "'weight'" in made.float_layers["read"]


def test_float_model_is_never_changed(mobile):
    before = {k: v.clone() for k, v in mobile.state_dict().items()}
    made, _ = simulated(mobile)
    with quantized_engine():
        convert(made)
    assert all(torch.equal(before[k], v) for k, v in mobile.state_dict().items())


def test_nothing_simulated_is_the_float_model(mobile):
    made, x = simulated(mobile)
    made.simulate(())
    with torch.no_grad():
        torch.testing.assert_close(made.module(x), mobile(x), rtol=1e-4, atol=1e-5)


def test_weight_scale_search_never_does_worse():
    weight = torch.randn(8, 3, 3, 3)
    weight[0, 0, 0, 0] = 9.0

    def error(scales):
        grid = scales.view(-1, 1, 1, 1)
        return ((weight / grid).round().clamp(-127, 127) * grid - weight).square().flatten(1).sum(1)

    plain = error(weight_scales(weight, True))
    assert (error(weight_scales(weight, True, search=True)) <= plain).all()


def test_patterns_find_layers_and_unknown_names_get_the_nearest():
    names = ("blocks.0.attn.qkv", "blocks.0.mlp.fc1", "blocks.1.attn.qkv", "head")
    assert match_layers(["blocks.0"], names) == {"blocks.0.attn.qkv", "blocks.0.mlp.fc1"}
    assert match_layers(["*.qkv", "head"], names) == {
        "blocks.0.attn.qkv",
        "blocks.1.attn.qkv",
        "head",
    }
    with pytest.raises(UnknownLayer, match=r"blocks\.0\.attn\.qkv"):
        match_layers(["blocks.0.attn.qvk"], names)


def test_a_layer_without_calibration_is_named(mobile):
    made = simulate_int8(mobile, RECIPES["static-xnnpack"], example=smooth(1, 3, 32))
    with pytest.raises(CalibrationError, match="no calibration image"):
        calibrate(made, [])


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(torch.relu(self.b(functional.relu(self.a(x)))).mean((2, 3)))


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.conv(x) if x.sum() > -1e9 else x


def test_fx_sees_functional_relu_and_eager_does_not():
    model = Functional().eval()
    assert simulated(model, mode="eager")[0].layers["a"].clamp is None
    assert simulated(model, mode="fx")[0].layers["a"].clamp == (0.0, float("inf"))


def test_fx_makes_a_leaf_of_what_it_cannot_trace_and_still_quantises_inside():
    model = nn.Sequential(Branching(), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Flatten()).eval()
    _, leaves = trace(model, smooth(1, 3, 8))
    assert leaves == ("0",)
    made, _ = simulated(model, mode="fx")
    assert set(made.layers) == {"0.conv", "2"}


def test_auto_mode_falls_back_to_eager_and_says_why():
    x = smooth(4, 3, 8)
    with pytest.raises(QuantizeError, match="--mode eager"):
        quantize(
            Branching().eval(),
            QuantizeRecipe.named("static", mode="fx"),
            QuantizeImages(example=x, calibration=[x]),
        )
    made = quantize(
        Branching().eval(),
        QuantizeRecipe.named("static", mode="auto"),
        QuantizeImages(example=x, calibration=[x]),
    )
    assert made.recipe.mode == "eager"
    assert any(note.startswith("Eager mode, because") for note in made.notes)
    assert made.int8_layers == 1
