"""The guard around optimize_for_mobile, and proof that it is needed."""

from __future__ import annotations

import pytest
import torch
from own_models import ConvNormNet
from torch import Tensor, nn

from exporter.errors import OptimizeError
from exporter.lower import optimize as step
from exporter.lower.capture import agree, trace
from exporter.lower.optimize import Attempt, apply, optimize
from exporter.outputs import run
from exporter.rewrites import Evidence, rewrite
from exporter.rewrites.passes import names
from runtime_check.comparison import Tolerance

TIGHT = Tolerance(atol=1e-5)
# A module, and its inputs with its outputs.
Sampled = tuple[nn.Module, list[tuple[tuple[Tensor, ...], list[Tensor]]]]
OFFICIAL = Attempt(freeze=False, without=frozenset())


@pytest.fixture(scope="module")
def net() -> Sampled:
    torch.manual_seed(0)
    module = ConvNormNet().eval()
    inputs = [torch.randn(1, 3, 32, 32) for _ in range(4)]
    return module, [((x,), run(module, (x,))) for x in inputs]


def test_the_official_recipe_is_wrong(net: Sampled) -> None:
    """Trap 1 of the facts (pytorch#76807). When this fails, torch has fixed it: say so."""
    module, sampled = net
    broken = agree(apply(trace(module, sampled[0][0]), OFFICIAL), sampled, TIGHT)
    assert not broken
    assert broken.max_abs > 1e-2


def test_the_guard_catches_and_repairs_it(net: Sampled, monkeypatch: pytest.MonkeyPatch) -> None:
    module, sampled = net
    calls = []

    def as_officially(captured: torch.jit.ScriptModule, attempt: Attempt) -> torch.jit.ScriptModule:
        calls.append(attempt)
        return apply(captured, OFFICIAL if len(calls) == 1 else attempt)

    monkeypatch.setattr(step, "apply", as_officially)
    done = optimize(trace(module, sampled[0][0]), sampled, TIGHT)
    assert done.comparison
    assert len(calls) == 2
    assert done.repairs
    assert agree(done.module, sampled, TIGHT)


def test_folding_first_leaves_nothing_to_break(net: Sampled) -> None:
    """With batch norm folded before the trace, even the official recipe is right."""
    module, sampled = net
    inputs = [x for (x,), _ in sampled]
    prepared = rewrite(module, Evidence([(x,) for x in inputs], [y for _, y in sampled], TIGHT))
    assert str(prepared.effects["fold-batch-norm"]) == "2 batch norms folded"
    assert agree(apply(trace(prepared.module, sampled[0][0]), OFFICIAL), sampled, TIGHT)


def test_repairs_name_the_pass_left_out(net: Sampled, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that corrupts is found by leaving one out at a time."""
    module, sampled = net

    def corrupting(captured: torch.jit.ScriptModule, attempt: Attempt) -> torch.jit.ScriptModule:
        done = apply(captured, attempt)
        if "fuse-add-relu" in attempt.without:
            return done

        class Wrong(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = done

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.inner(x) + 1

        return torch.jit.script(Wrong().eval())

    monkeypatch.setattr(step, "apply", corrupting)
    done = optimize(trace(module, sampled[0][0]), sampled, TIGHT)
    assert "left out fuse-add-relu" in done.repairs[0]
    assert done.effects["fuse-add-relu"].status == "undone"
    assert str(done.effects["fuse-add-relu"]) == "undone: it changed the outputs"
    assert str(done.effects["insert-fold-prepack-ops"]) == "applied"


def test_refuses_when_nothing_helps(net: Sampled) -> None:
    module, sampled = net
    wrong = [(x, [y + 1 for y in ys]) for x, ys in sampled]
    with pytest.raises(OptimizeError, match="nothing is written"):
        optimize(trace(module, sampled[0][0]), wrong, TIGHT)


def test_disabled_passes_are_left_out(net: Sampled) -> None:
    module, sampled = net
    done = optimize(
        trace(module, sampled[0][0]), sampled, TIGHT, disabled=["insert-fold-prepack-ops"]
    )
    assert done.effects["insert-fold-prepack-ops"].status == "disabled"
    kinds = {node.kind() for node in done.module.inlined_graph.nodes()}
    assert "prepacked::conv2d_clamp_run" not in kinds
    assert "aten::conv2d" in kinds or "aten::_convolution" in kinds


def test_script_passes_are_those_of_the_list() -> None:
    assert (step.FREEZE, *step.MOBILE_PASSES, step.IN_PLACE) == names("script")


def test_pass_names_are_torchs() -> None:
    assert set(step.MOBILE_PASSES.values()) <= set(
        torch._C._MobileOptimizerType.__members__.values()
    )
