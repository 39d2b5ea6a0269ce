"""Biases that put the mean of each layer's outputs back where float has it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from exporter.quantize.calibrate import calibrate
from exporter.quantize.evaluate import judge, run
from exporter.quantize.layers import SimulatedLayer
from exporter.quantize.place import Simulated, simulate_int8
from exporter.recipes import RECIPES


def calibrated(module: nn.Module, batches: list[Tensor]) -> Simulated:
    recipe = RECIPES["static-xnnpack"]
    simulated = simulate_int8(module, recipe, example=batches[0][:1], calibration=batches)
    calibrate(simulated, batches)
    return simulated


def as_rounded(simulated: Simulated) -> dict[str, Tensor | None]:
    """Put every bias back to what the weights' rounding alone asks for; return those before."""
    before = {name: layer.bias_shift for name, layer in simulated.layers.items()}
    for layer in simulated.layers.values():
        layer.round_to("nearest" if layer._codes is None else "compensated")
    return before


def corrected(simulated: Simulated) -> bool:
    return any("Means" in note for note in simulated.notes)


def test_efficientnet_lite0_gains_on_other_photos(lite0) -> None:
    simulated = calibrated(lite0.model, lite0.calibration)
    assert corrected(simulated)
    reference = run(lite0.model, lite0.measured)
    simulated.simulate(simulated.layers)
    with_means = judge(reference, run(simulated.module, lite0.measured)).sqnr_db
    biases = as_rounded(simulated)
    assert with_means > judge(reference, run(simulated.module, lite0.measured)).sqnr_db
    # Sixteen numbers a class: their mean is those images', not int8's.
    classifier = simulated.layers["classifier"].bias_shift
    assert classifier is not None
    assert biases["classifier"] is classifier


def test_a_correction_that_does_not_help_is_undone(lite0, monkeypatch) -> None:
    plain = SimulatedLayer.output_mean

    def wrong(layer: SimulatedLayer, y: Tensor) -> Tensor:
        return plain(layer, y) + (0.0 if layer.simulating else 3.0)

    monkeypatch.setattr(SimulatedLayer, "output_mean", wrong)
    simulated = calibrated(lite0.model, lite0.calibration)
    assert not corrected(simulated)
    biases = as_rounded(simulated)
    assert all(layer.bias_shift is biases[name] for name, layer in simulated.layers.items())


def test_a_layer_called_twice_keeps_its_bias(monkeypatch) -> None:
    """It has two means."""
    moved: list[str] = []
    plain = SimulatedLayer._meet_mean

    def spy(layer: SimulatedLayer, *given: object) -> Tensor:
        moved.append(layer.name)
        return plain(layer, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(SimulatedLayer, "_meet_mean", spy)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.once = nn.Conv2d(3, 3, 3)
            self.twice = nn.Conv2d(3, 3, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.twice(self.twice(self.once(x)))
            return y.mean((2, 3))

    simulated = calibrated(Twice().eval(), [torch.rand(16, 3, 24, 24)])
    assert moved == ["once"]
    biases = as_rounded(simulated)
    assert simulated.layers["twice"].bias_shift is biases["twice"]


def test_a_network_that_takes_one_image_at_a_time_keeps_its_biases() -> None:
    """Its images cannot be joined into a batch."""

    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(x)
            return y.reshape(1, 4, -1).mean(2)

    simulated = calibrated(Single().eval(), [torch.rand(1, 3, 24, 24) for _ in range(8)])
    assert not corrected(simulated)
    assert simulated.module(torch.rand(1, 3, 24, 24)).shape == (1, 4)


def test_nothing_is_left_hanging_on_a_network_that_fails_midway(lite0, monkeypatch) -> None:
    """The hooks of the float pass once stayed on its layers when that pass raised."""
    import exporter.quantize.calibrate as step

    def hooked(module: nn.Module) -> list[str]:
        return [n for n, m in module.named_modules() if m._forward_hooks or m._forward_pre_hooks]

    simulated = simulate_int8(
        lite0.model, RECIPES["static-xnnpack"], example=lite0.example, calibration=None
    )
    simulated.watch_ranges(False)

    def broken(module: nn.Module, batches: list[Tensor]) -> Tensor:
        assert hooked(module)
        raise ZeroDivisionError

    monkeypatch.setattr(step, "_first_output", broken)
    with pytest.raises(ZeroDivisionError):
        step._correct_means(simulated, lite0.example)
    assert not hooked(simulated.module)
