"""Calibration images, and what is chosen on them: ranges, roundings, means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from exporter.errors import (
    CalibrationError,
)
from exporter.quantize import calibrate as step
from exporter.quantize.apply import quantize
from exporter.quantize.calibrate import (
    _settle_grids,
    calibrate,
    check_calibration,
    neighbor_correlation,
)
from exporter.quantize.engine import quantized_engine
from exporter.quantize.evaluate import judge, run_batches
from exporter.quantize.layers import SimulatedLayer
from exporter.quantize.place import Simulated, simulate_int8
from exporter.quantize.weights import InputMoments, nearest_codes
from exporter.recipes import RECIPES

from .conftest import Task
from .nets import (
    Mobile,
    logits,
    smooth,
)


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.resize((32, 32)))).permute(2, 0, 1).float() / 255


@pytest.fixture
def photo_crops(cat: np.ndarray) -> list[np.ndarray]:
    whole = cat
    return [whole[i * 10 : i * 10 + 64, i * 20 : i * 20 + 64] for i in range(10)]


def test_noise_is_refused_unless_asked_for_by_name() -> None:
    noise = [torch.rand(4, 3, 32, 32)]
    with pytest.raises(CalibrationError, match="noise"):
        check_calibration(noise)
    assert check_calibration(noise, allow_noise=True) == 4


def test_photos_and_real_drawings_are_no_noise(
    photo_crops: list[np.ndarray], fashion: Task
) -> None:
    batch = torch.stack([to_tensor(Image.fromarray(crop)) for crop in photo_crops])
    assert neighbor_correlation(batch) > 0.8
    assert check_calibration(fashion.calibration) == 64


@pytest.mark.parametrize(
    ("batches", "word"),
    [
        ([], "no calibration image"),
        ([torch.full((2, 3, 8, 8), float("nan"))], "NaN"),
        ([torch.ones(2, 3, 8, 8)], "flat color"),
    ],
)
def test_nothing_nan_and_flat_are_refused(batches: list[Tensor], word: str) -> None:
    with pytest.raises(CalibrationError, match=word):
        check_calibration(batches)


@pytest.fixture
def mobile() -> nn.Module:
    return Mobile().eval()


def test_a_layer_without_calibration_is_named(mobile: nn.Module) -> None:
    made = simulate_int8(mobile, RECIPES["static-xnnpack"], example=smooth(1, 3, 32))
    with pytest.raises(CalibrationError, match="no calibration image"):
        calibrate(made, [])


def test_it_serves_efficientnet_lite0(lite0: Task) -> None:
    """Real weights whose depthwise convolutions hang on their rounding: at least 1 dB better."""
    found = []
    for rounding in ("nearest", "compensated"):
        recipe = replace(RECIPES["static-xnnpack"], rounding=rounding, observer="histogram")
        made = quantize(
            lite0.model,
            recipe,
            lite0.images,
        )
        with quantized_engine():
            outputs = run_batches(made.module, lite0.measured)
        found.append(judge(run_batches(lite0.model, lite0.measured), outputs).sqnr_db)
    assert found[1] > found[0] + 1.0, found


@pytest.mark.parametrize("better", ["compensated", "nearest"])
def test_auto_keeps_what_leaves_less_noise(monkeypatch: pytest.MonkeyPatch, better: str) -> None:
    """Measured, not believed: codes that are worse for the network are not taken."""
    if better == "nearest":

        def worst(layer: nn.Module, scales: torch.Tensor, moments: InputMoments) -> torch.Tensor:
            return -nearest_codes(layer.weight, scales)

        monkeypatch.setattr("exporter.quantize.layers.compensated_codes", worst)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(64, 32, 1), nn.Sigmoid(), nn.Conv2d(32, 4, 1)).eval()
    images = (torch.randn(8, 400, 8) @ torch.randn(8, 64)).mT.reshape(8, 64, 20, 20)
    recipe = replace(RECIPES["static-xnnpack"], observer="minmax")
    simulated = simulate_int8(model, recipe, example=images[:1])
    calibrate(simulated, [images])
    assert (simulated.choice.rounding, simulated.choice.clipping) == (better, None)
    layer = simulated.layers["0"]
    taken = layer.int8_weight()
    layer.round_to(better)
    assert torch.equal(layer.int8_weight(), taken)
    layer.round_to("nearest" if better == "compensated" else "compensated")
    assert not torch.equal(layer.int8_weight(), taken)


def test_ranges_and_rounding_are_chosen_together(
    fashion: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One makes up for the other: chosen one after the other they can miss the best pair."""
    monkeypatch.setattr("exporter.quantize.calibrate._correct_means", lambda *_: None)
    recipe = RECIPES["static-xnnpack"]
    simulated = simulate_int8(fashion.model, recipe, example=fashion.example)
    calibrate(simulated, fashion.calibration)
    reference = logits(simulated.module, fashion.calibration)

    def noise() -> float:
        simulated.simulate(simulated.layers)
        return float((logits(simulated.module, fashion.calibration) - reference).square().sum())

    chosen = noise()
    others = []
    for clipping in ("observer", "none", "mild"):
        for rounding in ("compensated", "nearest"):
            for layer in simulated.layers.values():
                layer.clipping = clipping
                if layer.roundings:
                    layer.round_to(rounding)
            _settle_grids(simulated)
            others.append(noise())
    assert chosen == pytest.approx(min(others), rel=1e-5)
    assert max(others) > 1.1 * chosen


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
    return simulated.choice.corrected_means


def test_efficientnet_lite0_gains_on_other_photos(lite0: Task) -> None:
    simulated = calibrated(lite0.model, lite0.calibration)
    assert corrected(simulated)
    reference = run_batches(lite0.model, lite0.measured)
    simulated.simulate(simulated.layers)
    with_means = judge(reference, run_batches(simulated.module, lite0.measured)).sqnr_db
    biases = as_rounded(simulated)
    assert with_means > judge(reference, run_batches(simulated.module, lite0.measured)).sqnr_db
    # Sixteen numbers a class: their mean is those images', not int8's.
    classifier = simulated.layers["classifier"].bias_shift
    assert classifier is not None
    assert biases["classifier"] is classifier


def test_a_correction_that_does_not_help_is_undone(
    lite0: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = SimulatedLayer.output_mean

    def wrong(layer: SimulatedLayer, y: Tensor) -> Tensor:
        return plain(layer, y) + (0.0 if layer.simulating else 3.0)

    monkeypatch.setattr(SimulatedLayer, "output_mean", wrong)
    simulated = calibrated(lite0.model, lite0.calibration)
    assert not corrected(simulated)
    biases = as_rounded(simulated)
    assert all(layer.bias_shift is biases[name] for name, layer in simulated.layers.items())


def test_a_layer_called_twice_keeps_its_bias(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_nothing_is_left_hanging_on_a_network_that_fails_midway(
    lite0: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hooks of the float pass once stayed on its layers when that pass raised."""

    def hooked(module: nn.Module) -> list[str]:
        return [n for n, m in module.named_modules() if m._forward_hooks or m._forward_pre_hooks]

    simulated = simulate_int8(
        lite0.model, RECIPES["static-xnnpack"], example=lite0.example, calibration=None
    )
    simulated.watch_ranges(False)

    def broken(module: nn.Module, batches: list[Tensor]) -> Tensor:
        assert hooked(module)
        raise ZeroDivisionError

    monkeypatch.setattr(step, "run_batches", broken)
    with pytest.raises(ZeroDivisionError):
        step._correct_means(simulated, lite0.example)
    assert not hooked(simulated.module)
