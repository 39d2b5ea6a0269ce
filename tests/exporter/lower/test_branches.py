"""Branches that depend on the input are found by running the module."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from own_models import Branching
from torch import nn

from exporter.lower.branches import find_branches

SHAPE = (1, 3, 8, 8)


def test_branches_are_named_with_module_and_line() -> None:
    (branch,) = find_branches(Branching().eval(), (torch.randn(SHAPE),))
    assert branch.module == "flip"
    assert branch.type == "Flip"
    assert branch.source == "if x.sum() > 0:"
    assert branch.file.endswith("own_models.py")


def test_parameters_are_no_data() -> None:
    """A branch on a parameter is a constant, a trace may keep it."""

    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if self.gate > 0 else -x

    assert find_branches(Gate(), (torch.randn(SHAPE),)) == ()


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x[: int(x.argmax()) % 3 + 1],
        lambda x: x * x.mean().item(),
        lambda x: x.clone().add_(1) if bool((x > 0).any()) else x,
        lambda x: x.view(-1)[: x.view(-1)[0:1].long().abs().tolist()[0] + 1],
    ],
)
def test_every_kind_of_read_is_found(read: Callable[[torch.Tensor], torch.Tensor]) -> None:
    class Reads(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return read(x)

    assert find_branches(Reads(), (torch.randn(SHAPE),))
