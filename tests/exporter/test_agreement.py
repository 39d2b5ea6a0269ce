"""A module that answers one input in two ways is refused, by the operator and the author's line."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import exporter
from exporter.errors import NotReproducible


class Kind(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, 5),
        )  # fmt: skip
        self.calls = 0
        self.register_buffer("seen", torch.zeros(1))
        self.register_buffer("running", torch.zeros(5))


class Noise(Kind):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + torch.rand(5)  # HERE


class PythonRandom(Kind):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * random.random()  # HERE


class NumpyRandom(Kind):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + float(np.random.rand())  # HERE


class DropsAlways(Kind):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(functional.dropout(x, 0.5))  # its default is training=True  # HERE


class Counts(Kind):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.net(x) * self.calls  # HERE


class CountsInBuffer(Kind):
    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1  # HERE
        return self.net(x) + self.seen


class RunsAnAverage(Kind):
    def forward(self, x: Tensor) -> Tensor:
        y = self.net(x)
        self.running.mul_(0.9).add_(y[0])  # HERE
        return y - self.running


class Mutates(Kind):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.mul_(0.5).add_(1))  # HERE


class Alternates(Kind):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls % 2:
            return self.net(x)
        return self.net(x.flip(-1))  # HERE


class Remembers(Kind):
    """The same input twice gives the same; another between them shows."""

    last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        y = self.net(x)
        if self.last is None:
            self.last = y.detach().clone()
        return y + self.last


KINDS = {
    Noise: "aten::rand",
    PythonRandom: "another number each time",
    NumpyRandom: "another number each time",
    DropsAlways: "other numbers each time",
    Counts: "another number each time",
    CountsInBuffer: "another number each time",
    RunsAnAverage: "that the run before has changed",
    Mutates: "writes to its input",
    Alternates: "another path each time",
}
LINES = Path(__file__).read_text(encoding="utf-8").splitlines()


def line_of(kind: type[nn.Module]) -> int:
    """The line that is marked in a class of this file, counted from 1."""
    start = next(i for i, line in enumerate(LINES) if line.startswith(f"class {kind.__name__}("))
    return next(i for i in range(start, len(LINES)) if LINES[i].endswith("# HERE")) + 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_kind_is_refused_by_name_and_line(kind: type[nn.Module], tmp_path: Path) -> None:
    with pytest.raises(NotReproducible) as caught:
        exporter.export(kind(), input_shape=(1, 3, 32, 32), out=tmp_path)
    said = str(caught.value)
    assert kind.__name__ in said
    # Of two paths, either may be the one that is named.
    if kind is not Alternates:
        assert f"test_agreement.py:{line_of(kind)} `" in said, said
    assert KINDS[kind].replace("aten::rand", "aten.rand") in said
    assert "Take what changes out of forward" in said
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_from_the_first_input_shows_in_another_order(tmp_path: Path) -> None:
    with pytest.raises(NotReproducible, match="a fresh copy that saw other inputs"):
        exporter.export(Remembers(), input_shape=(1, 3, 32, 32), out=tmp_path)


class Empty(Kind):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.net(x)
        return y, torch.zeros(0)


@pytest.mark.parametrize("kind", [Kind, Empty])
def test_a_module_that_repeats_itself_is_exported(kind: type[nn.Module], tmp_path: Path) -> None:
    module = kind()
    if kind is Kind:
        module.forward = module.net.forward  # type: ignore[method-assign]
    made = exporter.export(
        module, input_shape=(1, 3, 32, 32), out=tmp_path, name="a", capture="trace"
    )
    assert made.path.exists()
