"""Passes are applied, judged on outputs, and kept or undone."""

from __future__ import annotations

import pytest
import timm
import torch
from own_models import ConvNormNet
from torch import Tensor, fx, nn

from exporter.outputs import run
from exporter.rewrites import PASSES, Evidence, Pass, PassEffect, rewrite
from exporter.rewrites.apply import edit_modules, edited
from exporter.rewrites.convolutions import ChannelsLast
from exporter.rewrites.layers import Edit
from exporter.rewrites.passes import names
from runtime_check.comparison import Tolerance, compare

from .nets import rewritten, small_vit

OFF = PassEffect("disabled")


# --- a pass of one's own: a function, and a line in a list ---------------------------------------


def _doubled_halves(module: nn.Module, example: Tensor) -> list[Edit]:
    """Write each ReLU as half of what it gives, twice."""

    class Halves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.relu() * 0.5 + x.relu() * 0.5

    relus = [name for name, child in module.named_modules() if isinstance(child, nn.ReLU)]
    return [Edit(name, Halves()) for name in relus]


def test_a_pass_on_modules_is_a_function_and_a_line() -> None:
    own = Pass(name="halves", on="modules", run=_doubled_halves, says="ReLUs halved and doubled")
    result = rewritten(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), passes=(own,))
    assert result.effects == {"halves": PassEffect("applied", 1, "ReLUs halved and doubled")}
    assert not any(isinstance(child, nn.ReLU) for child in result.module.modules())


def _twice_negated(graph: fx.GraphModule, example: Tensor) -> int:
    (output,) = [node for node in graph.graph.nodes if node.op == "output"]
    with graph.graph.inserting_before(output):
        once = graph.graph.call_method("neg", (output.args[0],))
        output.args = (graph.graph.call_method("neg", (once,)),)
    graph.recompile()
    return 1


def test_a_pass_on_the_graph_is_a_function_and_a_line() -> None:
    own = Pass(name="negated", on="graph", run=_twice_negated, says="outputs negated twice")
    result = rewritten(nn.Sequential(nn.Conv2d(3, 4, 3)).eval(), passes=(*PASSES, own))
    assert str(result.effects["negated"]) == "1 output negated twice"
    assert isinstance(result.module, fx.GraphModule)


# --- undone --------------------------------------------------------------------------------------


def test_source_module_is_not_changed_and_bad_passes_are_undone() -> None:
    module = ConvNormNet().eval()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    inputs = [torch.randn(1, 3, 16, 16)]
    expected = [run(module, (x,)) for x in inputs]

    def wrong(module: nn.Module, example: Tensor) -> list[Edit]:
        return [Edit("head", nn.Linear(8, 10))]

    own = Pass(name="wrong", on="modules", run=wrong, says="heads replaced")
    result = rewrite(
        module,
        Evidence([(x,) for x in inputs], expected, Tolerance(atol=1e-5)),
        passes=(*PASSES, own),
    )
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert isinstance(module.bn1, nn.BatchNorm2d)
    assert result.effects["wrong"].status == "undone"
    assert result.effects["wrong"].why.startswith("outputs differ")
    assert result.effects["fold-batch-norm"] == PassEffect("applied", 2, "batch norms folded")
    assert compare(
        expected[0][0].numpy(), run(result.module, inputs)[0].numpy(), Tolerance(atol=1e-5)
    )


def _wrong_head(graph: fx.GraphModule, example: Tensor) -> int:
    graph.head = nn.Linear(48, 7)
    return 1


def _raises(graph: fx.GraphModule, example: Tensor) -> int:
    raise RuntimeError("the author's own mistake")


def test_a_rewrite_of_the_graph_that_changes_outputs_is_undone_alone() -> None:
    own = (
        Pass(name="wrong", on="graph", run=_wrong_head, says="heads replaced"),
        Pass(name="raises", on="graph", run=_raises, says="nothing"),
    )
    result = rewritten(small_vit(), passes=(*own, *PASSES))
    assert result.effects["wrong"].status == "undone"
    assert result.effects["wrong"].why.startswith("outputs differ")
    assert result.effects["raises"].status == "undone"
    assert result.effects["raises"].why == "it raised the author's own mistake"
    assert result.effects["fold-scales"].count == 2


def test_what_failed_is_named_even_where_nothing_else_matches() -> None:
    raises = Pass(name="raises", on="graph", run=_raises, says="nothing")
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout()).eval()
    result = rewritten(module, passes=(*PASSES, raises), left_out={"channels-last": OFF})
    assert result.module is module
    assert result.effects["raises"].status == "undone"
    # Dropout alone is no reason to ship a graph.
    assert result.effects["drop-identities"] == PassEffect("none", why="nothing matched")


# --- left out ------------------------------------------------------------------------------------


def test_a_module_that_nothing_matches_is_returned_itself() -> None:
    module = ConvNormNet().eval()
    result = rewritten(module, left_out={"fold-batch-norm": OFF, "channels-last": OFF})
    assert result.module is module
    assert result.effects["fold-batch-norm"] == OFF


@pytest.mark.parametrize("name", names("graph"))
def test_each_rewrite_of_the_graph_can_be_left_out(name: str) -> None:
    assert rewritten(small_vit(), left_out={name: OFF}).effects[name] == OFF


@pytest.mark.parametrize("name", names("modules"))
def test_each_pass_on_modules_can_be_left_out(name: str) -> None:
    assert rewritten(ConvNormNet().eval(), left_out={name: OFF}).effects[name] == OFF


def test_convolutional_nets_keep_their_modules() -> None:
    torch.manual_seed(0)
    module = timm.create_model("resnet10t", num_classes=5).eval()
    result = rewritten(module, side=64)
    assert not isinstance(result.module, fx.GraphModule)
    effects = {str(result.effects[name]) for name in names("graph")}
    assert effects == {"not applied: nothing matched"}


def test_a_model_that_cannot_be_traced_says_so() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3)) if float(x.sum()) > 0 else x.amax((2, 3))

    result = rewritten(Branching().eval())
    whys = {result.effects[name].why for name in names("graph")}
    assert len(whys) == 1
    assert "FX" in min(whys)
    # What to do about it is for the step that needs the trace to say.
    assert "mode" not in min(whys)


# --- what the result is --------------------------------------------------------------------------


def test_the_source_is_not_changed() -> None:
    module = small_vit(init_values=0.3)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    rewritten(module)
    after = module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_batches_and_scripting_survive() -> None:
    module = small_vit()
    result = rewritten(module)
    pair = torch.randn(2, 3, 32, 32)
    scripted = torch.jit.script(result.module)
    assert torch.allclose(scripted(pair), module(pair), atol=1e-4, rtol=1e-4)


def test_edits_share_every_tensor() -> None:
    module = ConvNormNet()
    changed = edited(module, [Edit("head", nn.Identity())])
    assert isinstance(changed.get_submodule("head"), nn.Identity)
    assert isinstance(module.head, nn.Linear)
    assert changed.get_parameter("conv1.weight") is module.conv1.weight


def test_before_int8_modules_are_rewritten_but_not_laid_out() -> None:
    x = torch.randn(1, 3, 16, 16)
    changed = edit_modules(ConvNormNet().eval(), x)
    kinds = {type(child) for child in changed.modules()}
    assert nn.BatchNorm2d not in kinds
    assert ChannelsLast not in kinds
