"""Activations overwrite what they alone read, and nothing else."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn

from exporter.lower import optimize as step
from exporter.lower.capture import trace
from exporter.lower.optimize import Attempt, apply, optimize
from exporter.outputs import run
from runtime_check.comparison import Tolerance

TIGHT = Tolerance(atol=1e-5)


class Gated(nn.Module):
    """Two linear layers under GELU: one read by it alone, one read again afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 16)
        self.second = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        alone = nn.functional.gelu(self.first(x))
        twice = self.second(alone)
        return nn.functional.gelu(twice) + twice + nn.functional.silu(x)


def test_activations_overwrite_only_what_nothing_else_reads() -> None:
    torch.manual_seed(0)
    module = Gated().eval()
    x = torch.randn(3, 16)
    kept, wanted = x.clone(), run(module, (x,))
    done = optimize(trace(module, (x,)), [((x,), wanted)], TIGHT)
    kinds = Counter(node.kind() for node in done.module.graph.nodes())
    assert kinds["aten::gelu_"] == 1
    assert kinds["aten::gelu"] == 1
    assert kinds["aten::silu"] == 1  # the caller's own input
    assert torch.equal(x, kept)
    off = optimize(trace(module, (x,)), [((x,), wanted)], TIGHT, disabled=("in-place-activations",))
    assert torch.equal(run(off.module, (x,))[0], run(done.module, (x,))[0])
    assert "aten::gelu_" not in {node.kind() for node in off.module.graph.nodes()}
    assert off.effects["in-place-activations"].status == "disabled"


def test_a_module_is_never_changed_in_place_unfrozen() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 16)
    captured = trace(Gated().eval(), (x,))
    before = str(captured.inlined_graph)
    without = frozenset(step.MOBILE_PASSES)
    assert apply(captured, Attempt(freeze=False, without=without)) is captured
    assert str(captured.inlined_graph) == before
