from __future__ import annotations

from contextlib import suppress
from dataclasses import make_dataclass
from typing import Any

import pytest
import torch
from own_models import Branching, Flip, Heads, Unscriptable, UnscriptableBranching
from torch import nn

from exporter.errors import CaptureError
from exporter.lower.capture import candidates, script
from exporter.outputs import Flat, run
from runtime_check.comparison import Tolerance

SHAPE = (1, 3, 8, 8)
TIGHT = Tolerance(atol=1e-5)


def sampled(module: nn.Module) -> list:
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(SHAPE, generator=generator) for _ in range(6)]
    return [((x,), run(module, (x,))) for x in inputs]


def test_auto_scripts_the_classic() -> None:
    module = Branching().eval()
    captured = next(candidates(module, module, sampled(module), TIGHT))
    assert captured.method == "script"
    x = torch.randn(SHAPE)
    for value in (x, -x):
        assert torch.allclose(captured.module(value), module(value), atol=1e-5)


def test_forced_trace_refuses_and_names_the_line() -> None:
    module = Branching().eval()
    with pytest.raises(CaptureError, match=r"flip \(Flip\), .*own_models\.py:\d+: if x\.sum"):
        next(candidates(module, module, sampled(module), TIGHT, method="trace"))


def test_specialization_has_to_be_allowed_and_is_still_checked() -> None:
    """On samples that take both branches even an allowed trace differs, and is refused."""
    module = Flip()
    x = torch.ones(SHAPE)
    one_way = [((x,), [x]), ((2 * x,), [2 * x])]
    captured = next(
        candidates(module, module, one_way, TIGHT, method="trace", allow_specialization=True)
    )
    assert [b.type for b in captured.specialized] == ["Flip"]
    both = [*one_way, ((-x,), [x])]
    with pytest.raises(CaptureError, match="differs from eager"):
        next(candidates(module, module, both, TIGHT, method="trace", allow_specialization=True))


def test_auto_traces_what_cannot_be_scripted() -> None:
    module = Unscriptable().eval()
    captured = next(candidates(module, module, sampled(module), TIGHT))
    assert captured.method == "trace"
    assert any(text.startswith("script:") for text in captured.rejected)


def test_auto_mixes_where_neither_works() -> None:
    module = UnscriptableBranching().eval()
    captured = next(candidates(module, module, sampled(module), TIGHT))
    assert captured.method == "mixed"
    assert captured.scripted_modules == ("flip",)
    signs = set()
    for level in (-3.0, 3.0):
        x = torch.full(SHAPE, level)
        signs.add(bool(module.body(x).sum() > 0))
        assert torch.allclose(captured.module(x), module(x), atol=1e-5)
    assert signs == {True, False}, "the samples must take both branches"


def test_several_outputs() -> None:
    module = Heads().eval()
    for method in ("script", "trace"):
        captured = next(candidates(module, Flat(module), sampled(module), TIGHT, method=method))
        assert [tuple(t.shape) for t in run(captured.module, (torch.randn(SHAPE),))] == [
            (1, 5),
            (1, 2),
        ]


def test_nothing_works_says_why() -> None:
    class Hopeless(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            try:
                return x if float(x.sum()) > 0 else -x
            finally:
                pass

    module = Hopeless()
    with pytest.raises(CaptureError, match=r"No way of capturing.*Hopeless"):
        next(candidates(module, module, sampled(module), TIGHT))


def test_a_value_in_the_place_of_an_operator_that_is_gone_is_no_operator() -> None:
    """torch looks operators up by `id`, and does not notice when one is freed."""
    from torch.jit._builtins import _get_builtin_table

    module = nn.Sequential(nn.Conv2d(3, 2, 3)).eval()
    place = id(module[0]._reversed_padding_repeated_twice)
    _get_builtin_table()[place] = "aten::add"
    try:
        x = torch.ones(1, 3, 5, 5)
        assert torch.equal(script(module)(x), module(x))
    finally:
        _get_builtin_table().pop(place, None)


class Nested(nn.Module):
    """A dict beside a tensor in one dict, of which the compiler warns in C++."""

    def forward(self, x: torch.Tensor) -> Any:
        return {"heads": {"kind": x, "age": x + 1}, "raw": x * 2}


def test_a_dict_of_dicts_leaves_nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with suppress(CaptureError):
        script(Nested())
    assert capfd.readouterr().err == ""


def test_a_refusal_names_no_place_in_memory() -> None:
    """As TorchScript does of what a dataclass generates."""
    made = make_dataclass("Scores", [("logits", torch.Tensor)])

    class Wrapped(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return made(x)

    with pytest.raises(CaptureError, match="refuses it") as refused:
        script(Wrapped())
    assert "0x" in str(refused.value.__cause__)
    assert "0x" not in str(refused.value)
