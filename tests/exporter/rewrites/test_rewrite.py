"""Rewrites of the traced graph: exact, by structure, and only where they match."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from exporter.outputs import run
from exporter.rewrites.prepare import Prepared, prepare
from exporter.rewrites.rewrite import REWRITES, open_attention
from exporter.rewrites.trace import trace
from runtime_check.compare import Tolerance


def small_vit(**options: object) -> nn.Module:
    """A ViT with every parameter random: biases, scales and positions that are 0 hide mistakes."""
    torch.manual_seed(0)
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}
    model = timm.create_model(
        "vit_tiny_patch16_224", exportable=True, num_classes=7, **{**sizes, **options}
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.1, 0.2)
    return model.eval()


def prepared(module: nn.Module, side: int = 32, **options: object) -> tuple[Prepared, float]:
    samples = [torch.randn(1, 3, side, side), torch.rand(1, 3, side, side)]
    expected = [run(module, (x,)) for x in samples]
    largest = max(float(t.abs().max()) for out in expected for t in out)
    result = prepare(module, samples, expected, Tolerance(atol=2e-5 * largest), **options)
    differences = [
        float((run(result.module, (x,))[0] - wanted[0]).abs().max()) / largest
        for x, wanted in zip(samples, expected, strict=True)
    ]
    return result, max(differences)


def effects(result: Prepared) -> dict[str, str]:
    return {p.name: p.effect for p in result.passes if p.name in REWRITES}


def attentions(module: nn.Module) -> list[torch.fx.Node]:
    assert isinstance(module, torch.fx.GraphModule)
    wanted = nn.functional.scaled_dot_product_attention
    return [node for node in module.graph.nodes if node.target is wanted]


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Run once and return the shape each Linear gives."""
    seen = {}
    for name, child in module.named_modules():
        if isinstance(child, nn.Linear):
            child.register_forward_hook(
                lambda _, __, out, name=name: seen.__setitem__(name, tuple(out.shape))
            )
    module(torch.randn(1, 3, 32, 32))
    return seen


def test_class_token_alone_goes_through_the_last_block() -> None:
    result, difference = prepared(small_vit())
    assert difference < 2e-5
    assert effects(result)["keep-read-tokens"].startswith("3 ")
    seen = shapes(result.module)
    assert seen["blocks.0.mlp.fc1"] == (1, 17, 192)
    assert seen["blocks.1.mlp.fc1"] == (1, 1, 192)
    assert seen["blocks.1.attn.qkv_q"] == (1, 1, 48)
    assert seen["blocks.1.attn.qkv_kv"] == (1, 17, 96)


def test_two_read_tokens_are_both_kept() -> None:
    torch.manual_seed(0)
    model = timm.create_model(
        "deit_tiny_distilled_patch16_224", exportable=True, img_size=32, patch_size=8, depth=2
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.0, 0.1)
    result, difference = prepared(model.eval())
    assert difference < 2e-5
    assert shapes(result.module)["blocks.1.mlp.fc1"][:2] == (1, 2)


@pytest.mark.parametrize("options", [{}, {"init_values": 0.3, "global_pool": "avg"}])
def test_attention_becomes_one_operator(options: dict[str, object]) -> None:
    result, difference = prepared(small_vit(**options))
    assert difference < 2e-5
    assert effects(result)["fuse-attention"].startswith("2 ")
    assert len(attentions(result.module)) == 2
    assert "softmax" not in result.module.code


def test_an_attention_scale_that_is_not_folded_becomes_the_operators_scale() -> None:
    off = {"fold-scales": "disabled", "keep-read-tokens": "disabled"}
    result, difference = prepared(small_vit(), left_out=off)
    assert difference < 2e-5
    assert [node.kwargs["scale"] for node in attentions(result.module)] == [0.25, 0.25]


def test_attention_with_a_bias_stays() -> None:
    torch.manual_seed(0)
    module = timm.create_model(
        "swin_tiny_patch4_window7_224", exportable=True, img_size=56, window_size=7,
        depths=(1, 1), embed_dim=24, num_heads=(2, 2),
    )  # fmt: skip
    result, difference = prepared(module.eval(), side=56)
    assert difference < 2e-5
    assert not effects(result)["fuse-attention"].startswith("2 ")


def test_attention_opens_again_around_another_softmax() -> None:
    off = {"fold-scales": "disabled"}
    module = small_vit()
    result, _ = prepared(module, left_out=off)
    graph = result.module
    assert isinstance(graph, torch.fx.GraphModule)
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


def test_average_pooling_reads_every_token() -> None:
    result, difference = prepared(small_vit(global_pool="avg"))
    assert difference < 2e-5
    assert effects(result)["keep-read-tokens"] == "left alone: nothing matches"
    assert shapes(result.module)["blocks.1.mlp.fc1"] == (1, 17, 192)


def test_layer_scale_and_attention_scale_are_folded() -> None:
    module = small_vit(init_values=0.3)
    result, difference = prepared(module)
    assert difference < 2e-5
    assert effects(result)["fold-scales"].startswith("2 ")
    assert effects(result)["fold-layer-scales"].startswith("4 ")  # two in each of two blocks
    code = result.module.code
    assert "gamma" not in code
    assert "* 0.25" not in code


def test_the_source_is_not_changed() -> None:
    module = small_vit(init_values=0.3)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    prepared(module)
    after = module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_batches_and_scripting_survive() -> None:
    module = small_vit()
    result, _ = prepared(module)
    pair = torch.randn(2, 3, 32, 32)
    scripted = torch.jit.script(result.module)
    assert torch.allclose(scripted(pair), module(pair), atol=1e-4, rtol=1e-4)


def test_each_rewrite_can_be_switched_off() -> None:
    for name in REWRITES:
        result, difference = prepared(small_vit(), left_out={name: "disabled"})
        assert difference < 2e-5
        assert effects(result)[name] == "disabled"


def test_convolutional_nets_are_left_alone() -> None:
    torch.manual_seed(0)
    module = timm.create_model("resnet10t", num_classes=5).eval()
    result, _ = prepared(module, side=64)
    assert not isinstance(result.module, torch.fx.GraphModule)
    assert set(effects(result).values()) == {"left alone: nothing matches"}


def test_a_model_that_cannot_be_traced_says_so() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3)) if float(x.sum()) > 0 else x.amax((2, 3))

    result, _ = prepared(Branching().eval())
    assert all("FX" in effect for effect in effects(result).values())
    assert not any("mode" in effect for effect in effects(result).values())


class _ReadTwice(nn.Module):
    """A scaled output that is also read as it is: the scale must stay where it was."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 12)
        self.gamma = nn.Parameter(torch.rand(12))

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        return (y * self.gamma + y).mean((1, 2))


def test_a_value_read_twice_is_not_folded() -> None:
    torch.manual_seed(0)
    graph, _ = trace(_ReadTwice().eval(), torch.randn(1, 3, 4, 12))
    assert REWRITES["fold-layer-scales"][0](graph, torch.randn(1, 3, 4, 12)) == 0


def test_a_rewrite_that_changes_outputs_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import exporter.rewrites.prepare as step

    def wrong(graph: torch.fx.GraphModule, example: Tensor) -> int:
        with torch.no_grad():
            linear = nn.Linear(48, 7)
            graph.head = linear
        return 1

    rewrites = {
        "drop-identities": REWRITES["drop-identities"],
        "fold-scales": REWRITES["fold-scales"],
        "wrong": (wrong, "heads replaced"),
    }
    monkeypatch.setattr(step, "REWRITES", rewrites)
    result, difference = prepared(small_vit())
    found = {p.name: p.effect for p in result.passes}
    assert difference < 2e-5
    assert found["wrong"].startswith("left out: outputs differ")
    assert found["fold-scales"].startswith("2 ")
