import copy

import pytest
import timm
import torch
from torch import nn

from exporter.quantize.dataflow import watch
from exporter.quantize.equalize import equalize, find_pairs


def test_layernorm_smoothing_is_exact_on_a_real_vit(fashion):
    model = copy.deepcopy(fashion.model)
    done = equalize(model, fashion.calibration, fashion.example, convolutions=False)
    assert len(done) == 12  # two LayerNorms in each of six blocks
    assert not torch.equal(model.blocks[0].norm1.weight, fashion.model.blocks[0].norm1.weight)
    with torch.no_grad():
        torch.testing.assert_close(
            model(fashion.measured[0]), fashion.model(fashion.measured[0]), rtol=1e-5, atol=1e-5
        )


def test_the_final_norm_is_left_alone_because_the_head_reads_a_part(fashion):
    pairs = find_pairs(fashion.model, watch(fashion.model, fashion.example), convolutions=False)
    assert "norm" not in {source for source, _, _ in pairs}


@pytest.mark.parametrize(("between", "pairs"), [(nn.ReLU, 2), (nn.Identity, 2), (nn.ReLU6, 0)])
def test_cross_layer_equalisation_is_exact_and_leaves_relu6_alone(between, pairs):
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


def test_residual_outputs_are_not_touched():
    torch.manual_seed(0)
    model = timm.create_model("resnet18").eval()
    from exporter.quantize.simulate import prepared_copy

    x = torch.randn(1, 3, 64, 64)
    base = prepared_copy(model, x)
    sources = {s for s, _, _ in find_pairs(base, watch(base, x), convolutions=True)}
    assert sources == {f"layer{i}.{j}.conv1" for i in range(1, 5) for j in range(2)}
