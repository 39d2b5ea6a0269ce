"""What is around a module is taken off, and said; what it computes stays."""

from __future__ import annotations

import io

import pytest
import torch
from torch import Tensor, nn

from runtime_check.reference.build import build
from runtime_check.reference.weights import WeightsRead
from runtime_check.reference.wrappers import unwrap, unwrap_parts, wrapped_parts

X = torch.linspace(-1, 1, 3).reshape(1, 3)


def plain() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def by_hand(layer: nn.Linear) -> Tensor:
    return X @ layer.weight.detach().float().T + layer.bias.detach().float()


class Body(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.body(x)
        return result


@pytest.mark.parametrize(
    ("wrap", "says"),
    [
        (nn.DataParallel, "DataParallel around the module was taken off"),
        (torch.compile, "torch.compile around the module was taken off"),
        (
            lambda net: torch.compile(nn.DataParallel(net)),
            "torch.compile and DataParallel around the module was taken off",
        ),
    ],
)
def test_a_wrapper_is_taken_off_and_said(wrap: object, says: str) -> None:
    net = plain()
    assert callable(wrap)
    built = build(wrap(net))
    assert type(built.module) is nn.Linear
    assert built.module is not net
    assert built.sentences() == [says]
    assert built.provenance.model == "torch.nn.modules.linear:Linear"
    assert built.provenance.weights.sha256 == build(net).provenance.weights.sha256
    torch.testing.assert_close(built.module(X), by_hand(net))


def test_a_module_without_wrappers_is_itself() -> None:
    net = plain()
    assert unwrap(net) == (net, ())
    assert build(net).sentences() == []


def test_compiled_parts_are_put_back() -> None:
    net = plain()
    whole = Body(torch.compile(Body(torch.compile(net))))
    built = build(whole)
    assert type(built.module.body) is Body
    assert type(built.module.body.body) is nn.Linear
    assert list(built.module.state_dict()) == ["body.body.weight", "body.body.bias"]
    assert built.sentences() == ["torch.compile was taken off parts of the module"]
    assert type(whole.body).__name__ == "OptimizedModule"
    torch.testing.assert_close(built.module(X), by_hand(net))


@pytest.mark.parametrize("how", ["script", "trace", "load"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_torchscript_is_taken_as_it_is(how: str, dtype: torch.dtype) -> None:
    net = plain().to(dtype)
    example = X.double() if dtype is torch.float64 else X.to(dtype)
    made = torch.jit.trace(net, example) if how == "trace" else torch.jit.script(net)
    if how == "load":
        file = io.BytesIO()
        torch.jit.save(made, file)
        file.seek(0)
        made = torch.jit.load(file)
    built = build(made)
    assert isinstance(built.module, torch.jit.ScriptModule)
    assert built.provenance.model.endswith(":Linear")
    assert built.sentences()[0] == "the module is TorchScript already and is taken as it is"
    kept = dtype is torch.float32
    counted = {} if kept else {str(dtype).removeprefix("torch."): 2}
    assert built.read == WeightsRead(converted=counted)
    assert not any(p.requires_grad or p.dtype != torch.float32 for p in built.module.parameters())
    assert next(made.parameters()).dtype == dtype
    torch.testing.assert_close(built.module(X), by_hand(net))


def test_compile_called_on_a_module_is_undone() -> None:
    net = plain()
    whole = Body(net)
    net.compile()
    assert wrapped_parts(whole) == [net]
    unwrap_parts(whole)
    assert wrapped_parts(whole) == []
    torch.testing.assert_close(whole(X).detach(), by_hand(net))
