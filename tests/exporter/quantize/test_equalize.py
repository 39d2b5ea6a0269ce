from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import timm
import torch
from torch import nn

from exporter.outputs import run
from exporter.quantize.apply import QuantizeImages, quantize
from exporter.quantize.equalize import (
    equalize,
    equalize_attention,
    equalize_layer_scales,
    find_pairs,
)
from exporter.recipes import RECIPES
from exporter.rewrites import Evidence, PassEffect, rewrite
from exporter.rewrites.trace import trace
from exporter.rewrites.watch import watch
from runtime_check.comparison import Tolerance
from runtime_check.differences import sqnr_db

from .conftest import Task


def test_layernorm_smoothing_is_exact_on_a_real_vit(fashion: Task) -> None:
    model = copy.deepcopy(fashion.model)
    done = equalize(model, fashion.calibration, fashion.example, convolutions=False)
    assert len(done) == 12  # two LayerNorms in each of six blocks
    assert not torch.equal(model.blocks[0].norm1.weight, fashion.model.blocks[0].norm1.weight)
    with torch.no_grad():
        torch.testing.assert_close(
            model(fashion.measured[0]), fashion.model(fashion.measured[0]), rtol=1e-5, atol=1e-5
        )


def test_the_final_norm_is_left_alone_because_the_head_reads_a_part(fashion: Task) -> None:
    pairs = find_pairs(fashion.model, watch(fashion.model, fashion.example), convolutions=False)
    assert "norm" not in {source for source, _, _ in pairs}


def _attention_vit(options: dict[str, object] | None = None, *left_out: str) -> nn.Module:
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224", exportable=True, img_size=32, patch_size=8, embed_dim=48, depth=3,
        num_heads=3, num_classes=5, **(options or {}),
    )  # fmt: skip
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, 0.0, 0.15)
        if name.endswith("qkv.weight"):  # q, k and v as unlike as they are in real weights
            with torch.no_grad():
                parameter[:48] *= 0.05
                parameter[96:] *= torch.logspace(-2, 1, 48)[:, None]
    model.eval()
    x = torch.randn(1, 3, 32, 32)
    off = {name: PassEffect("disabled") for name in left_out}
    return rewrite(
        model, Evidence([(x,)], [run(model, (x,))], Tolerance(atol=1e-3)), left_out=off
    ).module


@pytest.mark.parametrize("left_out", [(), ("fuse-attention",), ("fold-scales",)])
def test_attention_is_equalized_exactly_however_it_is_written(left_out: tuple[str, ...]) -> None:
    torch.manual_seed(1)
    images = torch.randn(6, 3, 32, 32)
    model = _attention_vit(None, *left_out)
    graph, _ = trace(model, images[:1])
    before = graph(images).detach()
    done = equalize_attention(graph, [images])
    assert len(done) == 2  # the last block has a q of its own, for the class token
    torch.testing.assert_close(graph(images), before, rtol=1e-4, atol=1e-4)
    ranges = []
    graph.get_submodule(done[0]).register_forward_hook(
        lambda _, __, out: ranges.extend(float(t.abs().max()) for t in out.chunk(3, -1))
    )
    graph(images)
    assert max(ranges) / min(ranges) < 4  # it was a hundred


def test_layer_scale_takes_the_unlike_ranges_exactly() -> None:
    torch.manual_seed(1)
    images = torch.randn(6, 3, 32, 32)
    model = _attention_vit({"init_values": 0.3}, "fold-layer-scales")
    graph, _ = trace(model, images[:1])
    with torch.no_grad():
        graph.get_submodule("blocks.0.mlp.fc2").weight.mul_(torch.logspace(-2, 1, 48)[:, None])
    before = graph(images).detach()
    done = equalize_layer_scales(graph, [images])
    assert len(done) == 6
    assert torch.equal(graph(images), before)
    seen = []
    graph.get_submodule("blocks.0.mlp.fc2").register_forward_hook(
        lambda _, __, out: seen.append(out.detach())
    )
    graph(images)
    ranges = seen[0].abs().amax((0, 1))
    assert float(ranges.max() / ranges.min()) < 2.1  # it was thousands


def test_equalized_attention_keeps_int8_closer() -> None:
    torch.manual_seed(1)
    images = torch.randn(8, 3, 32, 32)
    model = _attention_vit()
    recipe = RECIPES["static-xnnpack-fx"]
    found = []
    for equal in (True, False):
        made = quantize(
            model,
            replace(recipe, equalize=equal),
            QuantizeImages(example=images[:1], calibration=[images], allow_noise=True),
        )
        found.append(sqnr_db(model(images).detach().numpy(), made.module(images).numpy()))
    assert found[0] > found[1] + 1


@pytest.mark.parametrize(("between", "pairs"), [(nn.ReLU, 2), (nn.Identity, 2), (nn.ReLU6, 0)])
def test_cross_layer_equalization_is_exact_and_leaves_relu6_alone(
    between: type[nn.Module], pairs: int
) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), between(), nn.Conv2d(8, 16, 3, groups=8), between(), nn.Conv2d(16, 4, 1)
    ).eval()
    with torch.no_grad():
        model[0].weight.mul_(torch.logspace(-2, 2, 8).view(-1, 1, 1, 1))
        model[2].weight.div_(torch.logspace(-2, 2, 8).repeat_interleave(2).view(-1, 1, 1, 1))
    x = torch.randn(4, 3, 16, 16)
    expected = model(x).detach()
    before = model[0].weight.detach().abs().flatten(1).amax(1)
    ratio = float(before.max() / before.min())
    done = equalize(model, [x], x[:1], convolutions=True)
    assert len(done) == pairs
    torch.testing.assert_close(model(x).detach(), expected, rtol=1e-5, atol=1e-5)
    if pairs:
        ranges = model[0].weight.detach().abs().flatten(1).amax(1)
        assert float(ranges.max() / ranges.min()) < ratio / 10


def test_residual_outputs_are_not_touched() -> None:
    torch.manual_seed(0)
    model = timm.create_model("resnet18").eval()
    from exporter.quantize.place import prepared_copy

    x = torch.randn(1, 3, 64, 64)
    base = prepared_copy(model, x)
    sources = {s for s, _, _ in find_pairs(base, watch(base, x), convolutions=True)}
    assert sources == {f"layer{i}.{j}.conv1" for i in range(1, 5) for j in range(2)}
