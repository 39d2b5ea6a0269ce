"""Logs of two runs, and the first operator that differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from exporter.culprit import Step, first_difference, first_draw, first_write, record


class Does(nn.Module):
    def __init__(self, what: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor) -> Tensor:
        return self.what(x)


def step(**changes: object) -> Step:
    plain = Step(
        operator="aten::mul",
        place="models.py:3",
        numbers=("2",),
        given=("a", "b"),
        made=("c",),
        names=("", "weight"),
        draws=False,
        writes=False,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "why", "said"),
    [
        ({"operator": "aten::add"}, "path", "where the other calls aten::add (models.py:3)"),
        ({"numbers": ("3",)}, "number", "with 2 in one run and 3 in the other"),
        ({"given": ("z", "b")}, "outside", "another one each time"),
        ({"given": ("a", "z")}, "state", "on `weight`, which an earlier run left another value"),
        ({"made": ("z",)}, "result", "which gives two results for one input"),
    ],
)
def test_the_first_entry_that_differs(changes: dict[str, object], why: str, said: str) -> None:
    same = step(operator="aten::conv2d")
    later = step(operator="aten::rand", draws=True, made=("other",))
    found = first_difference([same, step(), later], [same, step(**changes), later])
    assert found is not None
    assert (found.why, found.place) == (why, "models.py:3")
    assert said in str(found)
    assert str(found).startswith("models.py:3 calls aten::mul")


def test_more_entries_in_one() -> None:
    for logs in (([step()], []), ([], [step()])):
        found = first_difference(*logs)
        assert found is not None
        assert found.why == "path"


def test_equal_logs() -> None:
    assert first_difference([step()], [step()]) is None
    assert first_draw([step()]) is None
    assert first_write([step()]) is None


def test_what_a_step_holds() -> None:
    def what(x: Tensor) -> Tensor:
        return x * 2.5 + 1

    multiply, add = record(Does(what), (torch.ones(2),))
    assert multiply.operator == "aten::mul"
    assert multiply.numbers == ("2.5",)
    assert multiply.place.endswith("`return x * 2.5 + 1`")
    assert "test_culprit.py:" in multiply.place
    assert multiply.made == add.given
    assert not multiply.draws
    assert not multiply.writes
    assert record(Does(what), (torch.ones(2),)) == record(Does(what), (torch.ones(2),))
    assert record(Does(what), (torch.zeros(2),)) != record(Does(what), (torch.ones(2),))


def test_digests_are_of_what_was_there_before_the_operator_wrote() -> None:
    add, multiply = record(Does(lambda x: (x + 1).mul_(3)), (torch.ones(2),))
    assert multiply.given == add.made
    assert multiply.made != add.made
    assert not multiply.writes
    [writes] = record(Does(lambda x: x.mul_(3)), (torch.ones(2),))
    assert writes.writes


def test_fresh_memory_may_hold_anything() -> None:
    """What `empty` returns is not what differs, but what is drawn into it is."""

    def fill(value: float) -> Callable[[Tensor], Tensor]:
        return lambda x: torch.empty_like(x).fill_(value)

    one, other = (record(Does(fill(1.0)), (torch.ones(1000),)) for _ in range(2))
    assert one == other
    drawn = [
        record(Does(lambda x: torch.empty(1000).normal_()), (torch.ones(1),)) for _ in range(2)
    ]
    found = first_difference(*drawn)
    assert found is not None
    assert (found.why, found.operator) == ("random", "aten::normal_")


def test_tensors_of_the_module_have_names() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).eval()
    names = {name for found in record(module, (torch.ones(1, 2),)) for name in found.names}
    assert {"0.weight", "0.bias", "1.running_mean"} <= names


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.bool, torch.complex64, torch.int64])
def test_digests_of_any_dtype(dtype: torch.dtype) -> None:
    def of(value: int) -> list[Step]:
        return record(Does(lambda x: torch.full((2, 3), value).to(dtype)), (torch.ones(1),))

    assert of(0) == of(0)
    assert of(0)[-1].made != of(1)[-1].made
