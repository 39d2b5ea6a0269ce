"""A forward that does not agree with itself is refused, and its line is named."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import exporter
from exporter import trial
from exporter.agreement import require_agreement
from exporter.errors import NotReproducible

SHAPE = (1, 3, 16, 16)


def samples() -> list[tuple[Tensor, ...]]:
    """Zeros first, as the exporter's own: they hide what is multiplied with the input."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(SHAPE, generator=generator) for _ in range(3)]
    return [(x,) for x in (torch.zeros(SHAPE), *drawn)]


def line_of(marker: str) -> int:
    """The line of this file that ends in a comment."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if line.endswith(f"# {marker}")]
    return number


class Kind(nn.Module):
    """A small network, and what else a forward may do with an input and its output."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(196, 5))
        self.calls = 0
        self.register_buffer("seen", torch.zeros(1))
        self.first: Tensor | None = None


class Noise(Kind):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + torch.rand(5)  # noise


class PythonRandom(Kind):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * random.random()  # python random


class NumpyRandom(Kind):
    def forward(self, x: Tensor) -> Tensor:
        noise = torch.from_numpy(np.random.rand(5).astype(np.float32))  # numpy random
        return self.net(x) + noise


class OwnGenerator(Kind):
    def __init__(self) -> None:
        super().__init__()
        self.generator = random.Random(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * self.generator.random()  # own generator


class DropsAlways(Kind):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(F.dropout(x, 0.5, training=True))  # drops always


class DropsByDefault(Kind):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(F.dropout(x))  # drops by default


class DropsRarely(Kind):
    """About one run in three differs."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * (1 + (torch.rand(()) < 0.3).float())  # drops rarely


class Counts(Kind):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.net(x) * self.calls  # counts


class CountsInBuffer(Kind):
    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1  # counts in buffer
        return self.net(x) + self.seen


class RunsAnAverage(Kind):
    def forward(self, x: Tensor) -> Tensor:
        x = self.net(x)
        self.seen.mul_(0.9).add_(x.mean())  # runs an average
        return x - self.seen


class Clock(Kind):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * (time.perf_counter_ns() % 1000003)  # clock


class OtherPath(Kind):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        x = self.net(x)
        if self.calls % 2:
            x = x + 1  # other path
        return x


class KeepsTheFirst(Kind):
    """Runs on one input agree: only a copy that never ran can tell."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.net(x)
        if self.first is None:
            self.first = x.mean()
        return x - self.first  # keeps the first


class KeepsTheLast(Kind):
    def forward(self, x: Tensor) -> Tensor:
        x = self.net(x)
        mean = self.seen + 0
        self.seen.copy_(x.mean())
        return x - mean


class Mutates(Kind):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.mul_(0.5).add_(1))  # mutates


class MutatesAView(Kind):
    def forward(self, x: Tensor) -> Tensor:
        x[:, 0] = 1  # mutates a view
        return self.net(x)


def refused(module: nn.Module) -> str:
    with pytest.raises(NotReproducible) as caught:
        require_agreement("model", module.eval(), samples())
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "marker", "says"),
    [
        (Noise, "noise", "calls aten::rand, which draws random numbers"),
        (PythonRandom, "python random", "calls aten::mul with 0."),
        (NumpyRandom, "numpy random", "on a tensor that is another one each time"),
        (OwnGenerator, "own generator", "calls aten::mul with 0."),
        (DropsAlways, "drops always", "which draws random numbers"),
        (DropsByDefault, "drops by default", "training=self.training"),
        (DropsRarely, "drops rarely", "calls aten::rand, which draws"),
        (Counts, "counts", "calls aten::mul with 6 in one run and 7 in the other"),
        (CountsInBuffer, "counts in buffer", "calls aten::add_ on `seen`"),
        (RunsAnAverage, "runs an average", "calls aten::mul_ on `seen`"),
        (Clock, "clock", "counters, clocks"),
        (OtherPath, "other path", "calls aten::add in one of them alone"),
        (KeepsTheFirst, "keeps the first", "on `first`, which an earlier run"),
        (Mutates, "mutates", "calls aten::mul_, which writes to it"),
        (MutatesAView, "mutates a view", "writes to its input"),
    ],
)
def test_refused_by_name_and_line(kind: type[nn.Module], marker: str, says: str) -> None:
    text = refused(kind())
    assert f"test_agreement.py:{line_of(marker)} `" in text
    assert says in text


def test_what_the_advice_depends_on() -> None:
    assert "It draws numbers from Python's random" in refused(PythonRandom())
    assert "It draws numbers from numpy.random" in refused(NumpyRandom())
    assert "`x = x.clone()`" in refused(Mutates())
    assert "take counters" in refused(Counts())


def test_the_first_sample_is_not_what_decides() -> None:
    """Dropout of zeros is zeros."""
    assert "two runs on the same input differ by up to" in refused(DropsAlways())


def test_how_far_runs_are_apart() -> None:
    """By hand: each run's output is the counter."""

    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return torch.full((2,), 2.5 * self.calls)

    assert "two runs on the same input differ by up to 2.5" in refused(Counter())


def test_a_last_input_that_is_kept_is_seen_in_another_order() -> None:
    class Previous(nn.Module):
        """Repeats of one input agree, whatever came before."""

        def __init__(self) -> None:
            super().__init__()
            self.kept: list[Tensor] = []

        def forward(self, x: Tensor) -> Tensor:
            if not self.kept or not torch.equal(self.kept[-1], x):
                self.kept.append(x.clone())
            return x.mean((2, 3)) + len(self.kept)

    assert "outputs for an input before and after others differ" in refused(Previous())
    refused(KeepsTheLast())


# --- what is allowed ------------------------------------------------------------------------------


class SeedsItself(Kind):
    def forward(self, x: Tensor) -> Tensor:
        torch.manual_seed(7)
        return self.net(x) + torch.randn(5)


class DrawsInVain(Kind):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + 0 * torch.rand(5)


class Caches(Kind):
    """What is kept depends on the shape alone, as grids of positions do."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.net(x)
        if self.first is None:
            self.first = torch.arange(x.shape[-1]).float()
        self.calls += 1
        return x + self.first


class Empty(Kind):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.net(x), torch.zeros(0)


class NotANumber(Kind):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * float("nan")


class ViewOfTheInput(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


@pytest.mark.parametrize(
    "make", [Kind, SeedsItself, DrawsInVain, Caches, Empty, NotANumber, ViewOfTheInput]
)
def test_allowed(make: Callable[[], nn.Module]) -> None:
    module = make().eval()
    if make is Kind:
        module = module.net
    require_agreement("model", module, samples())


def test_stochastic_depth_in_eval_is_allowed() -> None:
    import timm

    module = timm.create_model("test_vit", drop_path_rate=0.5, drop_rate=0.5).eval()
    inputs = [(torch.zeros(1, 3, 160, 160),), (torch.ones(1, 3, 160, 160),)]
    require_agreement("vit", module, inputs)
    module.train()
    with pytest.raises(NotReproducible, match="which draws random numbers"):
        require_agreement("vit", module, inputs)


def test_scripted_modules() -> None:
    class Scripted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3)) + torch.rand(3)

    plain = torch.jit.script(Kind().net.eval())
    require_agreement("model", plain, samples())
    assert "aten::rand is run, which draws" in refused(torch.jit.script(Scripted()))


# --- cost -----------------------------------------------------------------------------------------


class Counted(nn.Module):
    runs = 0

    def forward(self, x: Tensor) -> Tensor:
        type(self).runs += 1
        return x.mean((2, 3))


def test_the_cost_is_two_runs_of_each_input_and_one() -> None:
    module, inputs = Counted(), samples()
    Counted.runs = 0
    require_agreement("model", module, inputs)
    assert Counted.runs == 2 * len(inputs) + 1


def test_a_huge_model_is_judged_without_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trial.MOST_COPIED_BYTES == 4 * 2**30
    monkeypatch.setattr(trial, "MOST_COPIED_BYTES", 1000)
    assert trial.pristine(Noise()) is None
    assert trial.pristine(Counted()) is not None
    refused(Noise())
    refused(Mutates())


def test_a_module_that_cannot_be_copied_is_judged_without() -> None:
    class Alone(Counts):
        def __deepcopy__(self, memo: object) -> nn.Module:
            raise TypeError("there is one of me")

    assert trial.pristine(Alone()) is None
    require_agreement("model", Alone().net, samples())
    with pytest.raises(NotReproducible, match="calls aten::mul with"):
        require_agreement("model", Alone(), samples())


def test_a_module_that_cannot_bear_being_watched_is_refused_without_a_line() -> None:
    class Shy(Kind):
        def forward(self, x: Tensor) -> Tensor:
            from torch.utils._python_dispatch import _get_current_dispatch_mode

            if _get_current_dispatch_mode() is not None:
                raise RuntimeError("somebody is watching")
            return self.net(x) + torch.rand(5)

    text = refused(Shy())
    assert "does not agree with itself" in text
    assert "test_agreement.py" not in text


def test_an_export_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for kind in (Noise, PythonRandom, DropsAlways, Counts, CountsInBuffer, Mutates, KeepsTheFirst):
        with pytest.raises(NotReproducible, match=r"test_agreement\.py:\d+ `"):
            exporter.export(kind(), out=out, input_shape=SHAPE)
    assert NotReproducible.exit_code == 2
    assert not out.exists()
