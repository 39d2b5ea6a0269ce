"""The list of passes, and what is read from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from exporter.errors import UsageError
from exporter.rewrites import PASSES, Pass, PassEffect, left_out
from exporter.rewrites.passes import Level, names

from .nets import rewritten

LEVELS: tuple[Level, ...] = ("modules", "graph", "int8", "script", "program")
README = Path(__file__).parents[3] / "exporter" / "rewrites" / "README.md"


def test_every_pass_has_a_name_of_its_own_and_says_what_it_does() -> None:
    assert len({one.name for one in PASSES}) == len(PASSES)
    assert all(one.says for one in PASSES)
    assert all((one.run is not None) == (one.on in ("modules", "graph")) for one in PASSES)


def test_passes_stand_in_the_order_in_which_they_run() -> None:
    levels = [one.on for one in PASSES]
    assert levels == sorted(levels, key=LEVELS.index)
    assert names() == names(*LEVELS)


def test_the_readme_explains_every_pass_in_order() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert tuple(rows) == names()


def test_the_readmes_own_pass_works() -> None:
    function, line = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    scope: dict[str, Any] = {"Pass": Pass}
    exec(function.replace("from .", "from exporter.rewrites."), scope)
    own = eval(line.strip(), scope)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.ReLU()).eval()
    result = rewritten(net, passes=(*PASSES, own))
    assert str(result.effects["drop-second-relus"]) == "1 ReLU dropped"


@pytest.mark.parametrize(
    ("effect", "text"),
    [
        (PassEffect("applied", 3, "batch norms folded"), "3 batch norms folded"),
        (PassEffect("applied", 1, "first convolutions moved"), "1 first convolution moved"),
        (
            PassEffect("applied", 1, "class tokens merged with positions"),
            "1 class token merged with positions",
        ),
        (PassEffect("applied", 1, "no-ops removed"), "1 no-op removed"),
        (PassEffect("applied", 1, "RMSNorms decomposed"), "1 RMSNorm decomposed"),
        (PassEffect("applied"), "applied"),
        (PassEffect("none", why="nothing matched"), "not applied: nothing matched"),
        (PassEffect("disabled"), "disabled"),
        (PassEffect("left_out", why="int8 follows"), "skipped: int8 follows"),
        (PassEffect("undone", why="outputs differ"), "undone: outputs differ"),
    ],
)
def test_effects_read_as_sentences(effect: PassEffect, text: str) -> None:
    assert str(effect) == text


@pytest.mark.parametrize("name", names())
def test_every_pass_can_be_disabled(name: str) -> None:
    assert left_out([name])[name] == PassEffect("disabled")


def test_a_misspelled_pass_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(
        UsageError, match=r"no pass 'fold-batchnorm' .*Did you mean fold-batch-norm"
    ):
        left_out(["fold-batchnorm"])


def test_nothing_is_left_out_of_a_float_file_for_todays_runtime() -> None:
    assert left_out([], targets=["pytorch-2.1.0"]) == {}


def test_a_target_that_lacks_an_operator_is_named() -> None:
    (effect,) = left_out([], targets=["pytorch-2.1.0", "pytorch-1.13.1"]).values()
    assert str(effect) == "skipped: pytorch-1.13.1 has no aten::scaled_dot_product_attention"


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("none", set()),
        ("dynamic", {"split-wide-layers"}),
        ("static", {"split-wide-layers", "fold-layer-scales"}),
        ("qat", {"split-wide-layers", "fold-layer-scales"}),
        ("auto", {"split-wide-layers", "fold-layer-scales"}),
    ],
)
def test_what_int8_would_suffer_from_is_left_out(method: str, expected: set[str]) -> None:
    effects = left_out([], method=method)
    assert set(effects) == expected
    assert all(effect.status == "left_out" for effect in effects.values())


def test_disabled_says_so_whatever_else_would_leave_it_out() -> None:
    assert (
        left_out(["split-wide-layers"], method="static")["split-wide-layers"].status == "disabled"
    )


def test_a_new_pass_needs_one_line() -> None:
    own = Pass(name="own", on="graph", says="changes", needs_operator="aten::none_such")
    effects = left_out([], targets=["pytorch-2.1.0"], passes=[own])
    assert str(effects["own"]) == "skipped: pytorch-2.1.0 has no aten::none_such"
    assert left_out(["own"], passes=[own])["own"].status == "disabled"


def test_a_pass_that_costs_in_a_format_is_left_out_there() -> None:
    effects = left_out([], format="pte")
    assert set(effects) == {"flip-same-padding", "channels-last", "cheap-activations"}
    assert str(effects["flip-same-padding"]).startswith("skipped: XNNPACK pads unequal sides")
    assert "plain-attention" not in left_out([]), "a .ptl has no exported program"
    assert left_out(["flip-same-padding"], format="pte")["flip-same-padding"].status == "disabled"
    own = Pass(name="own", on="graph", says="changes", not_worth={"pte": "it costs"})
    assert left_out([], passes=[own]) == {}
    assert str(left_out([], passes=[own], format="pte")["own"]) == "skipped: it costs"


def test_operators_of_torchs_runtimes_say_nothing_about_programs() -> None:
    effects = left_out([], targets=["pytorch-1.13.1"], format="pte")
    assert "fuse-attention" not in effects
