"""Layers too wide for a core's cache: split where it pays, and equal within rounding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx, nn

from exporter.rewrites import split
from exporter.rewrites.split import split_wide_layers


@pytest.fixture(autouse=True)
def small_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of some kilobytes count as wide, so that small ones do."""
    monkeypatch.setattr(split, "WHOLE_BYTES", 8 * 1024)
    monkeypatch.setattr(split, "PIECE_BYTES", 4 * 1024)


class Mlp(nn.Module):
    """A convolution, an MLP on its pixels, and a classifier on their mean."""

    def __init__(self, *, bias: bool = True, again: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 40, 8, stride=4, bias=bias)
        self.act = nn.ReLU()
        self.first = nn.Linear(40, 100, bias=bias)
        self.gelu = nn.GELU()
        self.second = nn.Linear(100, 40, bias=bias)
        self.head = nn.Linear(40, 1000, bias=bias)
        self.again = again

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.stem(x)).flatten(2).transpose(1, 2)
        hidden = self.first(y)
        out: Tensor = y + self.second(self.gelu(hidden))
        if self.again:
            out = out + self.second(self.first(out))
            out = out + hidden.mean()
        return self.head(out.mean(1))


def _split(module: nn.Module, example: Tensor) -> tuple[fx.GraphModule, int]:
    graph = fx.symbolic_trace(module.eval())
    return graph, split_wide_layers(graph, example)


def _names(graph: fx.GraphModule) -> list[str]:
    return [str(node.target) for node in graph.graph.nodes if node.op == "call_module"]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_same_results_from_parts(bias: bool, again: bool) -> None:
    torch.manual_seed(0)
    module, x = Mlp(bias=bias, again=again), torch.randn(2, 3, 32, 32)
    wanted = module.eval()(x)
    graph, count = _split(module, x[:1])
    torch.testing.assert_close(graph(x), wanted, rtol=1e-5, atol=1e-5)
    assert count == (5 if again else 3)
    names = _names(graph)
    # One row only: read once whatever is done.
    assert "head" in names
    assert not {"stem", "first", "second"} & set(names)


def test_a_pair_is_summed_and_the_bias_added_once() -> None:
    torch.manual_seed(0)
    graph, _ = _split(Mlp(), torch.randn(1, 3, 32, 32))
    parts = {name: child for name, child in graph.named_modules() if "second_part" in name}
    assert len(parts) == 4
    assert [child.bias is not None for child in parts.values()] == [True, False, False, False]
    assert sum(child.in_features for child in parts.values()) == 100
    # Padded columns would be computed for nothing.
    assert all(child.in_features % 16 == 0 for child in list(parts.values())[:-1])


def test_clamps_go_with_the_parts() -> None:
    """XNNPACK clamps within a convolution, but not behind a concatenation."""
    graph, _ = _split(Mlp(), torch.randn(1, 3, 32, 32))
    relus = [n for n in graph.graph.nodes if str(n.target) == "act"]
    assert len(relus) == len([n for n in _names(graph) if n.startswith("stem_part")]) > 1


def test_weights_are_not_copied() -> None:
    module = Mlp()
    graph, _ = _split(module, torch.randn(1, 3, 32, 32))
    part = graph.get_submodule("first_part1")
    assert part.weight.untyped_storage().data_ptr() == (
        module.first.weight.untyped_storage().data_ptr()
    )


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(32, 256, 3, padding=1, groups=2),
        nn.Conv2d(32, 64, 3, padding=1, padding_mode="reflect"),
        nn.ConvTranspose2d(32, 64, 3),
        nn.Conv2d(32, 2, 3),
    ],
    ids=["grouped", "reflect", "transposed", "narrow"],
)
def test_what_cannot_be_split_stays(layer: nn.Module) -> None:
    graph, count = _split(nn.Sequential(layer), torch.randn(1, 32, 12, 12))
    assert count == 0
    assert _names(graph) == ["0"]


def test_convolutions_keep_their_geometry() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 70, (3, 5), stride=(1, 2), padding=(1, 2), dilation=(1, 1))
    x = torch.randn(1, 32, 16, 16).contiguous(memory_format=torch.channels_last)
    graph, count = _split(nn.Sequential(layer), x)
    assert count == 1
    got, wanted = graph(x), layer(x)
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)
    assert got.is_contiguous(memory_format=torch.channels_last)
