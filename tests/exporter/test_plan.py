"""What is exported, decided from what the user says and what the model says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from own_models import ConvNormNet, Heads
from torch import Tensor, nn

import exporter
from exporter import plan as step
from exporter.errors import UsageError
from exporter.options import NOISE, Budget, ExportOptions, PreprocessingChoice, QuantizeOptions
from exporter.plan import Plan, make_plan
from exporter.recipes import recipes_named
from exporter.source import load_source

SHAPE = (1, 3, 32, 32)
HALVES = PreprocessingChoice(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def plan_of(module: nn.Module, **options: object) -> Plan:
    asked = ExportOptions(input_shape=SHAPE, **options)  # type: ignore[arg-type]
    return make_plan(load_source(module, input_shape=SHAPE), asked)


def test_a_module_that_says_nothing_about_images_is_a_bare_network() -> None:
    plan = plan_of(ConvNormNet())
    assert plan.preprocess is None
    assert plan.preprocessing is None
    assert plan.reader is None
    assert plan.meaning.added == ()
    assert [tuple(x.shape) for (x,) in plan.inputs] == [SHAPE] * len(plan.samples)
    assert plan.whole(plan.source.module) is plan.source.module


def test_preprocessing_makes_it_take_photos() -> None:
    plan = plan_of(ConvNormNet(), preprocessing=HALVES)
    assert plan.preprocessing is not None
    assert plan.preprocessing.in_graph
    assert plan.preprocessing.input_size == (3, 32, 32)
    assert plan.samples[0].inputs[0].dtype == torch.uint8
    image = torch.full((64, 64, 3), 255, dtype=torch.uint8)
    with torch.no_grad():
        white = plan.source.module(torch.full(SHAPE, (1 - 0.5) / 0.25))
        assert torch.allclose(plan.whole(plan.source.module)(image), white[0], atol=1e-5)


def test_tensor_leaves_preprocessing_to_the_app_but_calibration_still_knows_it() -> None:
    plan = plan_of(ConvNormNet(), preprocessing=HALVES, input="tensor")
    assert plan.preprocess is None
    assert plan.preprocessing is not None
    assert not plan.preprocessing.in_graph
    assert plan.reader is not None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"input": "image"}, "--mean"),
        ({"preprocessing": PreprocessingChoice(interpolation="bilinear")}, "at least --mean"),
        ({"activation": "softmax"}, "--activation softmax goes with --input image"),
        (
            {"preprocessing": PreprocessingChoice(mean=(0.5, 0.5), std=(1, 1))},
            "--mean has 2 numbers, and ConvNormNet takes 3 channels",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        plan_of(ConvNormNet(), **options)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_whole_and_finish_apply_the_same_activation(activation: str) -> None:
    plan = plan_of(ConvNormNet(), preprocessing=HALVES, activation=activation)
    by_hand = {
        "softmax": lambda t: t.exp() / t.exp().sum(-1, keepdim=True),
        "sigmoid": lambda t: 1 / (1 + (-t).exp()),
        "none": lambda t: t,
    }[activation]
    with torch.no_grad():
        logits = plan.source.module(*plan.inputs[0])
        whole = plan.whole(plan.source.module)(*plan.samples[0].inputs)
    assert torch.allclose(whole, by_hand(logits)[0], atol=1e-5)
    assert torch.allclose(plan.finish([logits], 0)[0], by_hand(logits)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ({}, "--quantize auto measures noise, which whole numbers do not have"),
        ({"min_sqnr_db": 9.0}, "--min-sqnr measures noise"),
        ({"min_agreement": 0.5}, "--min-agreement is a share"),
        ({"max_accuracy_drop": 1.0}, "--max-accuracy-drop measures accuracy, which is of classes"),
    ],
)
def test_what_is_measured_must_be_there(budget: dict[str, float], says: str) -> None:
    class Counts(ConvNormNet):
        def forward(self, x: Tensor) -> Tensor:
            return (super().forward(x) > 0).long().reshape(1, -1, 1)

    asked = QuantizeOptions(
        recipe=recipes_named("auto"),
        calibration=NOISE,
        budget=Budget(**budget) if budget else None,
    )
    with pytest.raises(UsageError, match=rf"{says}.* Counts returns \[1, 10, 1\], nothing shows"):
        plan_of(Counts(), quantize=asked)


def test_training_needs_floats_and_accuracy_needs_classes() -> None:
    class Counts(ConvNormNet):
        def forward(self, x: Tensor) -> Tensor:
            return (super().forward(x) > 0).long().reshape(1, -1, 1)

    asked = QuantizeOptions(recipe=recipes_named("qat"), calibration=NOISE, train=Path("x"))
    with pytest.raises(UsageError, match="--quantize qat measures noise, which whole numbers"):
        plan_of(Counts(), quantize=asked)
    with pytest.raises(UsageError, match=r"--evaluate measures accuracy.* Heads .*\[1, 5\]"):
        plan_of(Heads(), quantize=QuantizeOptions(evaluate=Path("x")))


def test_an_image_artifact_takes_one_photo() -> None:
    source = load_source(ConvNormNet(), input_shape=(4, 3, 32, 32))
    with pytest.raises(UsageError, match="--input-shape 4,3,32,32: an image artifact takes one"):
        make_plan(source, ExportOptions(preprocessing=HALVES))


def test_a_crop_that_leaves_nothing_is_refused() -> None:
    source = load_source(ConvNormNet(), input_shape=(1, 3, 1, 1))
    choice = PreprocessingChoice(mean=HALVES.mean, std=HALVES.std, crop_pct=2)
    with pytest.raises(UsageError, match="--crop-pct 2 of 1 x 1 pixels"):
        make_plan(source, ExportOptions(preprocessing=choice))


def test_slow_models_are_judged_on_fewer_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "MUCH_WORK", 0)
    plan = plan_of(ConvNormNet())
    assert len(plan.samples) == len(plan.inputs) == 2


class SlowOnce(nn.Module):
    """A busy machine, or a module that compiles something on its first call."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.net, self.seconds = ConvNormNet(), seconds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.jit.is_scripting() and not torch.jit.is_tracing():
            self.wait()
        return self.net(x)

    @torch.jit.unused
    def wait(self) -> None:
        time.sleep(self.seconds)
        self.seconds = 0.0


@pytest.mark.slow
def test_nothing_is_decided_by_the_clock(tmp_path: Path) -> None:
    files = []
    for seconds in (0.0, 3.3):
        torch.manual_seed(0)
        made = exporter.export(
            SlowOnce(seconds), input_shape=SHAPE, out=tmp_path / str(seconds), capture="trace"
        )
        files.append(made.path.read_bytes())
    assert files[0] == files[1]
