"""Batch norms fold into the layers before them, exactly, and only where nothing else reads."""

from __future__ import annotations

import pytest
import timm
import torch
from own_models import NormReadTwice
from torch import Tensor, nn

from exporter.rewrites.batch_norm import fold_batch_norm
from runtime_check.testing.models import randomize_batch_norm

from .nets import edited_exactly


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "repghostnet_050"])
def test_batch_norm_folds_exactly(name: str) -> None:
    torch.manual_seed(0)
    module = randomize_batch_norm(timm.create_model(name).eval())
    before = sum(isinstance(m, nn.BatchNorm2d) for m in module.modules())
    edits, folded = edited_exactly(module, fold_batch_norm, torch.randn(1, 3, 96, 96))
    after = sum(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert edits == 2 * (before - after)
    assert after < before / 2


def test_folding_is_repeatable() -> None:
    """Which pairs fold must not depend on the memory allocator (storages are reused)."""
    module = randomize_batch_norm(timm.create_model("resnet10t").eval())
    counts = {len(fold_batch_norm(module, torch.randn(1, 3, 96, 96))) for _ in range(5)}
    assert len(counts) == 1


def test_output_read_twice_is_not_folded() -> None:
    module = NormReadTwice().eval()
    assert fold_batch_norm(module, torch.randn(1, 3, 16, 16)) == []


class Shared(nn.Module):
    """One convolution under two norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.one, self.two = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.two(self.conv(self.one(self.conv(x))))
        return out


class Side(Shared):
    """Two norms side by side read the same output."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        out: Tensor = self.one(y) + self.two(y)
        return out


class AlsoReturned(Shared):
    """What the norm reads leaves the network as well."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.conv(x)
        return y, self.one(y)


@pytest.mark.parametrize("kind", [Shared, Side, AlsoReturned])
def test_what_is_not_the_norms_alone_is_not_folded(kind: type[nn.Module]) -> None:
    assert fold_batch_norm(kind().eval(), torch.randn(1, 3, 16, 16)) == []


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        (nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(6), (2, 3, 8, 8)),
        (nn.Conv2d(3, 6, 3, padding="same", bias=False), nn.BatchNorm2d(6), (2, 3, 8, 8)),
        (nn.Conv1d(3, 6, 3), nn.BatchNorm1d(6), (2, 3, 8)),
        (nn.Linear(3, 6), nn.BatchNorm1d(6, affine=False), (4, 3)),
    ],
    ids=["reflect", "same", "conv1d", "linear"],
)
def test_layers_of_every_kind_take_norms_in(
    layer: nn.Module, norm: nn.Module, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    module = randomize_batch_norm(nn.Sequential(layer, norm, nn.ReLU()).eval())
    edits, folded = edited_exactly(module, fold_batch_norm, torch.randn(shape))
    assert edits == 2
    assert isinstance(folded.get_submodule("1"), nn.Identity)


def test_the_layers_own_weights_are_left_as_they_are() -> None:
    module = randomize_batch_norm(
        nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)).eval()
    )
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert len(fold_batch_norm(module, torch.randn(1, 3, 8, 8))) == 2
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert module.get_submodule("0").bias is None
