"""Tolerances against references written by hand: a float64 run, and steps of an int8 output."""

from __future__ import annotations

import copy

import pytest
import torch
from own_models import ConvNormNet, NotFinite
from torch import Tensor, nn

from exporter.errors import ExportError, UsageError
from exporter.expected import (
    FLOOR,
    HOST_STEPS,
    PHONE_STEPS,
    SAFETY,
    expect,
    expect_int8,
    measure_rounding,
)
from exporter.options import ExportOptions, PreprocessingChoice
from exporter.plan import Plan, make_plan
from exporter.source import load_source
from runtime_check.options import Format

SHAPE = (1, 3, 32, 32)
FORMATS: tuple[Format, ...] = ("ptl", "pte")
HALVES = PreprocessingChoice(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def plan_of(module: nn.Module, **options: object) -> Plan:
    asked = ExportOptions(input_shape=SHAPE, **options)  # type: ignore[arg-type]
    return make_plan(load_source(module, input_shape=SHAPE, labels=asked.labels), asked)


def test_the_tolerance_is_sixteen_times_the_distance_from_float64() -> None:
    plan = plan_of(ConvNormNet())
    expected = expect(plan)
    double = copy.deepcopy(plan.source.module).double()
    with torch.no_grad():
        exact = [double(x.double()) for (x,) in plan.inputs]
        single = [plan.source.module(x) for (x,) in plan.inputs]
    distance = max(float((e - s.double()).abs().max()) for e, s in zip(exact, single, strict=True))
    assert SAFETY == 16
    assert expected.tolerance.atol == pytest.approx(16 * distance, rel=1e-6)
    assert expected.phone.atol == expected.network.tolerance.atol == expected.tolerance.atol
    assert all(torch.equal(o[0], s) for o, s in zip(expected.outputs, single, strict=True))


def test_a_network_without_rounding_gets_the_floor() -> None:
    """A ReLU is exact in float32; nothing at all may not be demanded of other kernels."""
    x = torch.linspace(-4, 4, 64).reshape(1, 64)
    relu = nn.ReLU()
    rounding = measure_rounding(relu, [(x,)], [[relu(x)]])
    assert rounding.network.atol == pytest.approx(FLOOR * 4.0)


def test_the_artifacts_tolerance_is_of_probabilities_and_the_networks_of_logits() -> None:
    plan = plan_of(ConvNormNet(), preprocessing=HALVES, activation="softmax")
    expected = expect(plan)
    with torch.no_grad():
        by_hand = torch.softmax(plan.source.module(*plan.inputs[0]), -1)[0]
    assert torch.allclose(expected.outputs[0][0].reshape(-1), by_hand, atol=1e-6)
    assert expected.tolerance.atol < expected.network.tolerance.atol
    assert expected.phone.atol >= expected.tolerance.atol, "another CPU may round a gray level"


class Float32Only(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            raise TypeError("float32 only")
        return 3 * x.flatten(1)


def test_a_model_that_insists_on_float32_gets_a_coarse_tolerance_that_says_so() -> None:
    expected = expect(plan_of(Float32Only()))
    largest = max(float(o[0].abs().max()) for o in expected.outputs)
    assert expected.tolerance.atol == pytest.approx(1e-4 * largest)
    assert "does not run in float64" in expected.phone.basis


def test_the_module_is_float32_again_afterwards() -> None:
    plan = plan_of(ConvNormNet())
    before = copy.deepcopy(plan.source.module.state_dict())
    expect(plan)
    after = plan.source.module.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert all(before[k].dtype == after[k].dtype for k in before)


def test_outputs_that_are_not_finite_or_not_the_labels_are_refused() -> None:
    with pytest.raises(ExportError, match="NaN or infinity"):
        expect(plan_of(NotFinite()))
    with pytest.raises(UsageError, match=r"2 labels, but ConvNormNet .*\[1, 10\]"):
        expect(plan_of(ConvNormNet(), labels=("a", "b")))


def test_int8_tolerances_are_steps_of_the_output() -> None:
    """Outputs of a network in float stand for int8 ones here: only the range counts."""
    plan = plan_of(ConvNormNet())
    expected = expect_int8(plan, plan.source.module)
    values = torch.cat([o[0].reshape(-1) for o in expected.outputs])
    step = float(values.max() - values.min()) / 255
    assert expected.phone.step == pytest.approx(step)
    assert expected.tolerance.atol == pytest.approx(HOST_STEPS * step)
    assert expected.phone.atol == pytest.approx(PHONE_STEPS * step)


class Staircase(nn.Module):
    """Rounds hard, so that a change in the last bit moves outputs by a whole stair."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.floor(1000 * x.flatten(1)[:, :8]) * 100


def test_int8_networks_that_amplify_the_last_bit_get_twice_what_it_moves() -> None:
    plan = plan_of(Staircase())
    ramp = next(i for i, s in enumerate(plan.samples) if s.name == "ramp")
    expected = expect_int8(plan, plan.source.module)
    with torch.no_grad():
        moved = max(
            float((plan.source.module(x * (1 + 1e-6)) - plan.source.module(x)).abs().max())
            for (x,) in plan.inputs
        )
    assert plan.inputs[ramp][0].max() > 1.9
    assert expected.tolerance.atol >= 2 * moved


class Inner(nn.Module):
    """Rounds its input, which hides its last bits, and rounds again hard what it computes of it."""

    def forward(self, x: Tensor) -> Tensor:
        coarse = torch.round(8 * x.flatten(1)[:, :64]) / 8
        return torch.floor(1e7 * torch.tanh(coarse)) % 2


def test_last_bits_within_an_int8_program_count() -> None:
    """Another implementation of tanh turns 0 into 1; other last bits of the input do nothing."""
    plan = plan_of(Inner())
    lite, program = (expect_int8(plan, plan.source.module, form) for form in FORMATS)
    assert lite.phone.atol == pytest.approx(PHONE_STEPS / 255)
    assert program.phone.atol == program.tolerance.atol == pytest.approx(2.0)
    assert "within" in program.phone.basis
