"""Attention as one operator, and written out again."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, fx, nn

from exporter.rewrites import PassEffect
from exporter.rewrites.attention import find_attentions, open_attention

from .nets import attentions, rewritten, small_vit

OFF = PassEffect("disabled")


@pytest.mark.parametrize("options", [{}, {"init_values": 0.3, "global_pool": "avg"}])
def test_attention_becomes_one_operator(options: dict[str, Any]) -> None:
    result = rewritten(small_vit(**options))
    assert result.effects["fuse-attention"].count == 2
    assert len(attentions(result.module)) == 2
    assert "softmax" not in str(result.module.code)


def test_an_attention_scale_that_is_not_folded_becomes_the_operators_scale() -> None:
    off = {"fold-scales": OFF, "keep-read-tokens": OFF}
    result = rewritten(small_vit(), left_out=off)
    assert [node.kwargs["scale"] for node in attentions(result.module)] == [0.25, 0.25]


def test_attention_with_a_bias_stays() -> None:
    torch.manual_seed(0)
    module = timm.create_model(
        "swin_tiny_patch4_window7_224", exportable=True, img_size=56, window_size=7,
        depths=(1, 1), embed_dim=24, num_heads=(2, 2),
    )  # fmt: skip
    result = rewritten(module.eval(), side=56)
    assert result.effects["fuse-attention"].count == 0


def test_attention_opens_again_around_another_softmax() -> None:
    module = small_vit()
    graph = rewritten(module, left_out={"fold-scales": OFF}).module
    assert isinstance(graph, fx.GraphModule)
    copies = sum(node.target == "contiguous" for node in graph.graph.nodes)
    scales: list[float] = []

    class Softmax(nn.Module):
        def __init__(self, scale: float) -> None:
            super().__init__()
            self.scale = scale

        def forward(self, x: Tensor) -> Tensor:
            return (x * self.scale).softmax(-1)

    def place(scale: float) -> str:
        scales.append(scale)
        graph.add_submodule(f"own_{len(scales)}", Softmax(scale))
        return f"own_{len(scales)}"

    assert open_attention(graph, place) == 2
    assert scales == [0.25, 0.25]
    assert not attentions(graph)
    # The keys are laid out anew, but not for the class token's lone query.
    assert sum(node.target == "contiguous" for node in graph.graph.nodes) == copies + 1
    x = torch.randn(2, 3, 32, 32)
    assert torch.allclose(graph(x), module(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("fused", [True, False])
def test_the_layers_around_attention_are_found(fused: bool) -> None:
    off = {} if fused else {"fuse-attention": OFF}
    # The last block's q, k and v are not from one Linear any more.
    graph = rewritten(small_vit(), left_out=off).module
    assert isinstance(graph, fx.GraphModule)
    (first,) = find_attentions(graph)
    assert (first.qkv, first.projection) == ("blocks.0.attn.qkv", "blocks.0.attn.proj")
