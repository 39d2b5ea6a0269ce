"""Branches of training are fused by the layers' own methods, on copies."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models.fastvit import RepMixer
from torch import Tensor, nn

from exporter.rewrites.apply import edited
from exporter.rewrites.reparameterize import reparameterize
from runtime_check.testing.models import randomize_batch_norm

from .nets import edited_exactly


@pytest.mark.parametrize("name", ["repvgg_a0", "mobileone_s0"])
def test_branches_become_one_convolution(name: str) -> None:
    torch.manual_seed(0)
    module = randomize_batch_norm(timm.create_model(name).eval())
    before = {key: value.clone() for key, value in module.state_dict().items()}
    edits, fused = edited_exactly(module, reparameterize, torch.randn(1, 3, 64, 64))
    assert edits > 10
    assert len(list(fused.modules())) < len(list(module.modules()))
    # The source has all its branches still.
    assert module.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


class Fuses(nn.Module):
    """Two layers that fuse themselves in place, as RepVGG's blocks do."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.one(x) + (self.two(x) if self.two is not None else 0.0)
        return out

    def fuse(self) -> None:
        with torch.no_grad():
            self.one.weight += self.two.weight
            self.one.bias += self.two.bias
        self.two = None  # type: ignore[assignment]


def test_layers_that_fuse_in_place_do_so_on_a_copy_and_once() -> None:
    module, x = nn.Sequential(nn.Sequential(Fuses()), nn.Linear(4, 2)).eval(), torch.randn(3, 4)
    edits, fused = edited_exactly(module, reparameterize, x)
    assert edits == 1
    assert isinstance(module.get_submodule("0.0.two"), nn.Linear)
    assert fused.get_submodule("0.0").two is None
    assert reparameterize(fused, x) == []


def test_a_module_that_fused_itself_may_be_rewritten_again() -> None:
    """Int8 rewrites what the pipeline has rewritten: RepMixer fused twice and failed."""
    torch.manual_seed(0)
    module, x = nn.Sequential(RepMixer(8)).eval(), torch.randn(1, 8, 6, 6)
    _, once = edited_exactly(module, reparameterize, x)
    again = edited(once, reparameterize(once, x))
    with torch.no_grad():
        torch.testing.assert_close(again(x), module(x), rtol=1e-4, atol=1e-5)


def test_networks_without_such_layers_are_left_alone() -> None:
    assert reparameterize(nn.Sequential(nn.Linear(2, 2)), torch.randn(1, 2)) == []
