"""Bytecode against a device runtime's operator table, offline."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from exporter.errors import IncompatibleRuntime
from exporter.lower.compatibility import Missing, Verdict, _line, check_compatibility, refuse
from runtime_check.artifact.bytecode import Bytecode, Operator


def bytecode(*operators: Operator, version: int = 8) -> Bytecode:
    return Bytecode(version=version, operators=operators, calls={})


def operator(name: str, overload: str = "", arguments: int | None = None) -> Operator:
    return Operator(name=name, overload=overload, arguments=arguments)


@pytest.mark.parametrize(
    ("called", "runtime", "reason"),
    [
        (operator("aten::relu", arguments=1), "pytorch-2.1.0", ""),
        (operator("aten::rms_norm", arguments=4), "pytorch-2.1.0", "does not exist there"),
        (operator("aten::scaled_dot_product_attention", arguments=6), "pytorch-2.1.0", ""),
        (
            operator("aten::scaled_dot_product_attention", arguments=8),
            "pytorch-2.1.0",
            "is called with 8 arguments, there it takes",
        ),
        (
            operator("aten::scaled_dot_product_attention", arguments=6),
            "pytorch-1.13.1",
            "does not exist there",
        ),
    ],
)
def test_operators_and_argument_counts(called: Operator, runtime: str, reason: str) -> None:
    verdict = check_compatibility(bytecode(called), runtime)
    assert bool(verdict) == (not reason)
    assert [reason in m.reason for m in verdict.missing] == ([True] if reason else [])


@pytest.mark.parametrize(
    ("version", "fits", "to"), [(3, False, None), (8, True, None), (10, True, 9)]
)
def test_bytecode_versions(version: int, fits: bool, to: int | None) -> None:
    """2.1.0 reads 4 to 9: older is refused, newer is written anew."""
    verdict = check_compatibility(bytecode(version=version), "pytorch-2.1.0")
    assert bool(verdict) is fits
    assert verdict.backport_to == to


def test_what_is_missing_is_named_with_its_python_line() -> None:
    class Norm(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.rms_norm(x, [8])

    graph = torch.jit.trace(Norm(), torch.randn(2, 8), check_trace=False)
    called = operator("aten::rms_norm", arguments=4)
    (missing,) = check_compatibility(bytecode(called), "pytorch-2.1.0", graph=graph).missing
    assert "test_compatibility.py" in missing.source


def test_a_line_is_the_same_whatever_was_traced_before() -> None:
    """The detail of a verdict is in the file, whose bytes depend on nothing else in the process."""
    ranges = [
        f'  File "<eval_with_key>.{n}", line 12\n    x = torch.mean(y)\n    ~~~' for n in (3, 47)
    ]
    assert _line(ranges[0]) == _line(ranges[1])
    assert "<traced graph>:12" in _line(ranges[0])


def test_a_refusal_lists_six_and_counts_the_rest() -> None:
    missing = tuple(
        Missing(operator=f"my::op{i}", reason="does not exist there", source="", similar=())
        for i in range(8)
    )
    error = refuse(
        Verdict(runtime="pytorch-2.1.0", missing=missing, backport_to=None), ["script: differs"]
    )
    assert isinstance(error, IncompatibleRuntime)
    assert "my::op5" in str(error)
    assert "my::op6" not in str(error)
    assert "and 2 more" in str(error)
    assert "Tried: script: differs" in str(error)
    assert "target a newer runtime with `--target`" in str(error)
