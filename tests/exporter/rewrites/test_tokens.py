"""Only the tokens that are read are computed."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from exporter.rewrites.tokens import keep_read_tokens
from exporter.rewrites.trace import trace

from .nets import linear_shapes, rewritten, small_vit, with_random_parameters

IMAGE = torch.randn(1, 3, 32, 32)


def test_class_token_alone_goes_through_the_last_block() -> None:
    result = rewritten(small_vit())
    assert result.effects["keep-read-tokens"].count == 3
    seen = linear_shapes(result.module, IMAGE)
    assert seen["blocks.0.mlp.fc1"] == (1, 17, 192)
    assert seen["blocks.1.mlp.fc1"] == (1, 1, 192)
    assert seen["blocks.1.attn.qkv_q"] == (1, 1, 48)
    assert seen["blocks.1.attn.qkv_kv"] == (1, 17, 96)


def test_two_read_tokens_are_both_kept() -> None:
    torch.manual_seed(0)
    model = timm.create_model(
        "deit_tiny_distilled_patch16_224", exportable=True, img_size=32, patch_size=8, depth=2
    )
    result = rewritten(with_random_parameters(model, std=0.1))
    assert linear_shapes(result.module, IMAGE)["blocks.1.mlp.fc1"][:2] == (1, 2)


def test_average_pooling_reads_every_token() -> None:
    result = rewritten(small_vit(global_pool="avg"))
    assert str(result.effects["keep-read-tokens"]) == "not applied: nothing matched"
    assert linear_shapes(result.module, IMAGE)["blocks.1.mlp.fc1"] == (1, 17, 192)


class Steps(nn.Module):
    """Two Linears on tokens, a step between them that may mix tokens, and the first token read."""

    def __init__(self, step: Any) -> None:
        super().__init__()
        self.linear, self.other = nn.Linear(16, 16), nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)
        self.over_tokens = nn.LayerNorm((12, 16))
        self.act = nn.GELU()
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).reshape(-1, 12, 16)
        out: Tensor = self.step(self, self.linear(tokens), self.other(tokens))
        return out[:, 0]


KEEP: dict[str, Any] = {
    "activation": lambda net, y, z: net.act(y),
    "norm of channels": lambda net, y, z: net.norm(y),
    "sum": lambda net, y, z: y * 2.0 + y,
    "rows of a product": lambda net, y, z: y @ z.transpose(1, 2) @ z,
    "attention written out": lambda net, y, z: (y @ z.transpose(-2, -1)).softmax(dim=-1) @ z,
    "attention": lambda net, y, z: functional.scaled_dot_product_attention(y, z, z),
    "transposed twice": lambda net, y, z: y.transpose(1, 2).transpose(-1, -2),
    "heads": lambda net, y, z: y.reshape(-1, 12, 4, 4).view(-1, 12, 16),
}
MIX: dict[str, Any] = {
    "norm of tokens": lambda net, y, z: net.over_tokens(y),
    "softmax over tokens": lambda net, y, z: y.softmax(1),
    "columns of a product": lambda net, y, z: (y.transpose(1, 2) @ (z @ z.transpose(1, 2))).mT,
    "right side of a product": lambda net, y, z: z @ z.transpose(1, 2) @ y,
    "turned": lambda net, y, z: y.flip(1),
    "tokens among channels": lambda net, y, z: y.reshape(-1, 6, 32).reshape(-1, 12, 16),
    "queries that are keys as well": lambda net, y, z: functional.scaled_dot_product_attention(
        y, y, y
    ),
}


@pytest.mark.parametrize("step", KEEP)
def test_steps_that_treat_tokens_apart_are_followed(step: str) -> None:
    torch.manual_seed(0)
    module, x = Steps(KEEP[step]).eval(), torch.randn(1, 3, 8, 8)
    graph, _ = trace(module, x)
    assert keep_read_tokens(graph, x) == 1
    assert linear_shapes(graph, x)["linear"] == (1, 1, 16)
    pair = torch.randn(2, 3, 8, 8)
    assert torch.allclose(graph(pair), module(pair), atol=1e-5)


@pytest.mark.parametrize("step", MIX)
def test_steps_that_mix_tokens_end_it(step: str) -> None:
    module, x = Steps(MIX[step]).eval(), torch.randn(1, 3, 8, 8)
    graph, _ = trace(module, x)
    keep_read_tokens(graph, x)
    assert linear_shapes(graph, x)["linear"] == (1, 12, 16)
    assert torch.allclose(graph(x), module(x), atol=1e-5)
