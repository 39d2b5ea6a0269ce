"""Programs written so that XNNPACK takes them whole compute what they computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.executorch.delegable import (
    plain_attention,
    plain_patches,
    plain_products,
    plain_views,
    rewrite_program,
)
from exporter.executorch.qdq import RoundTrip
from exporter.quantize.ranges import Range
from exporter.rewrites import left_out
from exporter.rewrites.passes import names

from .programs import Change, left_outside, lowered, run


class Attention(nn.Module):
    """As timm writes it: one Linear for q, k and v, a permutation, unbind."""

    def __init__(self, *, fused: bool, scale: float | None = None) -> None:
        super().__init__()
        self.fused, self.scale = fused, scale
        self.qkv, self.out = nn.Linear(24, 72), nn.Linear(24, 24)

    def forward(self, x: Tensor) -> Tensor:
        shape = (x.shape[0], x.shape[1], 3, 3, 8)
        q, k, v = self.qkv(x).reshape(shape).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            y = functional.scaled_dot_product_attention(q, k, v, scale=self.scale)
        else:
            y = (q * 0.3 @ k.transpose(-2, -1)).softmax(-1) @ v
        out: Tensor = self.out(y.transpose(1, 2).reshape(x.shape))[:, 0]
        return out


CHANGES: tuple[Change, ...] = (plain_attention, plain_products, plain_views)


@pytest.mark.parametrize(
    ("fused", "scale", "counts"),
    [(True, None, (1, 0, 2)), (True, 0.7, (1, 0, 2)), (False, None, (0, 2, 2))],
)
def test_attention_is_taken_whole_and_computes_the_same(
    fused: bool, scale: float | None, counts: tuple[int, ...]
) -> None:
    module, x = Attention(fused=fused, scale=scale).eval(), torch.randn(2, 7, 24)
    exported = torch.export.export(module, (x,))
    assert tuple(change(exported) for change in CHANGES) == counts
    with torch.no_grad():
        expected = module(x)
    torch.testing.assert_close(exported.module()(x), expected, rtol=1e-5, atol=1e-6)
    assert left_outside(lowered(module, x)) != []
    program = lowered(module, x, *CHANGES)
    assert left_outside(program) == []
    (got,) = run(program, [x])
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("window", "bias"), [((4, 6), True), ((2, 3), False)])
def test_patches_go_through_a_linear_layer(window: tuple[int, int], bias: bool) -> None:
    """Compared with each patch cut out and multiplied by hand."""
    embed, x = nn.Conv2d(3, 5, window, window, bias=bias).eval(), torch.randn(2, 3, 12, 18)
    exported = torch.export.export(embed, (x,))
    assert plain_patches(exported) == 1
    out = exported.module()(x)
    height, width = window
    assert out.shape == (2, 5, 12 // height, 18 // width)
    for down in range(12 // height):
        for across in range(18 // width):
            patch = x[:, :, down * height :, across * width :][:, :, :height, :width]
            by_hand = torch.einsum("nchw,ochw->no", patch, embed.weight)
            by_hand = by_hand if embed.bias is None else by_hand + embed.bias
            torch.testing.assert_close(out[:, :, down, across], by_hand)
    edge = lowered(embed, x, rewrite_program)
    assert left_outside(edge) == []
    torch.testing.assert_close(run(edge, [x])[0], embed(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("convolution", "size"),
    [
        (nn.Conv2d(3, 5, 4, 2), 12),  # windows overlap
        (nn.Conv2d(3, 5, 4, 4), 14),  # some pixels are left over
        (nn.Conv2d(3, 5, 4, 4, padding=4), 12),
        (nn.Conv2d(8, 5, 4, 4), 12),  # more channels than an image has
        (nn.Conv2d(2, 4, 4, 4, groups=2), 12),
        (nn.Conv2d(3, 5, 1), 12),
    ],
)
def test_other_convolutions_stay(convolution: nn.Conv2d, size: int) -> None:
    x = torch.randn(1, convolution.in_channels, size, size)
    assert plain_patches(torch.export.export(convolution.eval(), (x,))) == 0


class Views(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        first, second = x.unbind(1)
        taken = x.select(-1, -2)[:, 1]
        return first.unsqueeze(0).squeeze(0) + second * taken.unsqueeze(-1).expand(2, 5, 1)


def test_views_give_the_same_values() -> None:
    x = torch.randn(2, 2, 5, 4)
    exported = torch.export.export(Views(), (x,))
    assert plain_views(exported) == 7
    left = {str(n.target) for n in exported.graph.nodes if n.op == "call_function"}
    assert left == {"aten.slice.Tensor", "aten.view.default", "aten.mul.Tensor", "aten.add.Tensor"}
    torch.testing.assert_close(exported.module()(x), Views()(x), rtol=0, atol=0)


class Masked(nn.Module):
    def forward(self, q: Tensor) -> Tensor:
        mask = torch.ones(5, 5, dtype=torch.bool).tril()
        y = functional.scaled_dot_product_attention(q, q, q, attn_mask=mask)
        return y + functional.scaled_dot_product_attention(q, q, q, is_causal=True)


def test_masked_attention_and_expansions_stay() -> None:
    q = torch.randn(1, 2, 5, 4)
    exported = torch.export.export(Masked(), (q,))
    assert plain_attention(exported) == 0
    rows = torch.export.export(_Broadcast(), (torch.randn(1, 4),))
    assert plain_views(rows) == 0


class _Broadcast(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.expand(3, 4) * 2.0


def test_products_that_broadcast_stay() -> None:
    class Product(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x @ x[:1].transpose(-2, -1)

    assert plain_products(torch.export.export(Product(), (torch.randn(2, 3, 4, 5),))) == 0


def test_the_passes_on_programs_are_those_of_the_list() -> None:
    exported = torch.export.export(Attention(fused=True).eval(), (torch.randn(2, 7, 24),))
    effects = rewrite_program(exported, left_out(["plain-views"], format="pte"))
    assert tuple(effects) == names("program")
    assert {name: str(effect) for name, effect in effects.items()} == {
        "plain-patches": "not applied: nothing matched",
        "plain-attention": "1 attention block written as products and a softmax",
        "plain-products": "not applied: nothing matched",
        "plain-layer-norms": "not applied: nothing matched",
        "plain-group-norms": "not applied: nothing matched",
        "plain-views": "disabled",
    }


def test_a_program_is_rewritten_with_its_int8() -> None:
    exported = torch.export.export(_Shared(), (torch.randn(2, 4),))
    rewrite_program(exported)
    readers = [
        len(n.users)
        for n in exported.graph.nodes
        if n.target is torch.ops.quantized_decomposed.dequantize_per_tensor.default
    ]
    assert readers == [1, 1]


class _Shared(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = RoundTrip(Range(0.1, 3), torch.qint8)(x)
        return y.neg() + y.exp()
