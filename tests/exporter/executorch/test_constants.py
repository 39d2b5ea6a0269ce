"""What a program computes of its parameters alone is stored, and computes the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn import functional

from exporter.executorch.constants import fold_constants


class Made(nn.Module):
    """`made(weight)` is added to the input."""

    def __init__(self, made: Callable[[Tensor], Tensor], *shape: int) -> None:
        super().__init__()
        self.made = made
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(*shape, generator=generator))
        self.register_buffer("index", torch.tensor([2, 0, 1]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.made(self.weight)


def _operators(exported: ExportedProgram) -> list[str]:
    return [str(n.target) for n in exported.graph.nodes if n.op == "call_function"]


def _folded(module: nn.Module, x: Tensor) -> ExportedProgram:
    """Fold, and compare with eager on two inputs, twice each: nothing is kept between calls."""
    exported = torch.export.export(module, (x,))
    fold_constants(exported)
    for given in (x, x + 1.0, x):
        assert torch.equal(exported.module()(given), module(given))
        # As lowering sees it.
        decomposed = exported.run_decompositions().module()
        assert torch.equal(decomposed(given), decomposed(given))
    return exported


@pytest.mark.parametrize(
    "made",
    [
        lambda w: functional.interpolate(w, size=(6, 6), mode="bicubic", antialias=True),
        lambda w: (w - w.mean()).repeat(1, 1, 2, 2)[..., :6, :6],
        lambda w: w.split(2, 2)[1].sum(),
        lambda w: w.new_zeros(1, 2, 1, 1).expand(1, 2, 6, 6),
        lambda w: torch.arange(6.0) * w.mean(),
    ],
    ids=["resized", "arithmetic", "split", "expanded", "counted"],
)
def test_what_is_made_of_parameters_is_stored(made: Callable[[Tensor], Tensor]) -> None:
    exported = _folded(Made(made, 1, 2, 4, 4), torch.randn(1, 2, 6, 6))
    assert _operators(exported) == ["aten.add.Tensor"]


def test_a_buffer_that_is_not_saved_is_read_too() -> None:
    class Gathered(Made):
        def forward(self, x: Tensor) -> Tensor:
            return x + self.weight[self.index]

    exported = _folded(Gathered(lambda w: w, 3), torch.randn(2, 3))
    assert _operators(exported) == ["aten.add.Tensor"]


def test_what_is_changed_in_place_is_made_anew_in_every_call() -> None:
    class Written(Made):
        def forward(self, x: Tensor) -> Tensor:
            room = torch.zeros(2, 3)
            room.view(6)[:3].add_(x)
            return room + self.weight.exp()

    exported = _folded(Written(lambda w: w, 3), torch.randn(3))
    found = _operators(exported)
    assert "aten.zeros.default" in found
    assert "aten.exp.default" not in found


def test_random_numbers_are_left() -> None:
    exported = torch.export.export(Made(lambda w: torch.rand_like(w), 3), (torch.randn(3),))
    assert fold_constants(exported) == 0
    assert any("rand" in name for name in _operators(exported))


def test_large_repetitions_are_left() -> None:
    exported = _folded(Made(lambda w: w.repeat(600, 600), 1, 1), torch.randn(600, 600))
    assert "aten.repeat.default" in _operators(exported)


def test_quantized_weights_stay_pairs() -> None:
    import torch.ao.quantization.fx._decomposed

    def pair(weight: Tensor) -> Tensor:
        codes = torch.ops.quantized_decomposed.quantize_per_tensor(
            weight, 0.1, 0, -127, 127, torch.int8
        )
        out: Tensor = torch.ops.quantized_decomposed.dequantize_per_tensor(
            codes, 0.1, 0, -127, 127, torch.int8
        )
        return out

    exported = _folded(Made(pair, 3), torch.randn(3))
    assert sum("quantize_per_tensor" in name for name in _operators(exported)) == 2


def test_what_depends_on_the_input_is_left() -> None:
    exported = torch.export.export(nn.ReLU(), (torch.randn(3),))
    assert fold_constants(exported) == 0
    assert _operators(exported) == ["aten.relu.default"]
