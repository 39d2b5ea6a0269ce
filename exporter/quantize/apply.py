"""Apply one recipe: a float module and images in, an int8 module and its report out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import fx, nn

from runtime_check.metrics import CLASSES, Metric

from ..errors import CalibrationError, QuantizeError, TrainingDataError
from ..options import NO_TRAINING_IMAGES
from ..progress import Listener, silent
from ..recipes import QuantizeRecipe
from ..rewrites.watch import Example
from ..training import TrainingOptions
from .calibrate import calibrate, check_calibration, first_image
from .convert import convert, kernel_steps
from .describe import (
    Quantized,
    calibration_notes,
    cheap_activation_notes,
    describe_layers,
    nothing_quantized,
    report_float,
)
from .dynamic import apply_dynamic
from .engine import quantized_engine, require_phone_packing
from .place import Simulated, simulate_int8
from .processes import device_for
from .qat import Trained, fine_tune
from .training_data import TrainingSet

# A kernel may round otherwise than the simulation by a step here and there, never everywhere.
# Measured: 0.0 to 0.2 steps on average, on XNNPACK and QNNPACK.
_MOST_MEAN_STEPS = 1.0


@dataclass(frozen=True, kw_only=True)
class QuantizeImages:
    """The images that a recipe is applied with, normalized: N,C,H,W float32.

    `example` is one input; its size is the size of the result's inputs. `calibration` are batches
    (static and QAT). Of a network of several inputs, each is the arguments of one call.
    `allow_noise` accepts noise as calibration, for random weights. `train` and `checkpoint`
    (resumed when it exists) are for QAT; `at_once` is how many images the network takes, where it
    takes no other number. `training` says on which device, and how QAT trains.
    """

    example: Example
    calibration: Sequence[Example] | None = None
    allow_noise: bool = False
    train: TrainingSet | None = None
    checkpoint: Path | None = None
    at_once: int | None = None
    training: TrainingOptions = field(default_factory=TrainingOptions)


def quantize(
    module: nn.Module,
    recipe: QuantizeRecipe,
    images: QuantizeImages,
    *,
    metric: Metric = CLASSES,
    tell: Listener = silent,
) -> Quantized:
    """Quantize a copy of `module` (eval, float32) as `recipe` says.

    `metric` says what its outputs are judged by where a choice is measured, and trained for.
    `tell` is called with the progress. `module` is never changed.

    Raises CalibrationError, TrainingDataError, UnknownLayer, NotFinite, WrongEngine, and
    NothingQuantized when no layer became int8.
    """
    if recipe.method == "none":
        return Quantized(module=module, recipe=recipe, layers=report_float(module), notes=())
    if recipe.method == "dynamic":
        return apply_dynamic(module, recipe, images.example)
    batches = images.calibration
    if batches is None:
        raise CalibrationError(
            f"Recipe {recipe.name} takes its ranges from images. Give a folder of 50 to 500 "
            "typical ones (--calibration DIR)."
        )
    check_calibration(batches, allow_noise=images.allow_noise)
    if recipe.method == "qat" and images.train is None:
        raise TrainingDataError(NO_TRAINING_IMAGES)
    with quantized_engine():
        simulated = simulate_int8(module, recipe, example=images.example, calibration=batches)
        if not simulated.layers:
            raise nothing_quantized(module, recipe, simulated.float_layers)
        simulated.module.to(_calibrates_on(images.training))
        calibrate(simulated, batches, metric=metric, tell=tell)
        trained = None
        if recipe.method == "qat" and images.train is not None:
            trained = fine_tune(
                simulated,
                module,
                images.train,
                metric=metric,
                training=images.training,
                at_once=images.at_once,
                checkpoint=images.checkpoint,
                tell=tell,
            )
        simulated.module.to("cpu")  # where int8 kernels are packed
        return finish(simulated, first_image(batches[0]), trained=trained)


def _calibrates_on(training: TrainingOptions) -> torch.device:
    """Return where to calibrate; sums of ranges and roundings are in float64, which MPS lacks."""
    device = device_for(training.accelerator)
    return torch.device("cpu") if device.type == "mps" else device


def finish(simulated: Simulated, example: Example, *, trained: Trained | None = None) -> Quantized:
    """Convert a calibrated `simulated`, check each kernel against its simulation, and report.

    `example` is one real image: kernels are compared on what it brings to them. Raises
    QuantizeError naming the layer whose kernel computes something else.
    """
    with quantized_engine():
        simulated.simulate(simulated.layers)
        int8 = convert(simulated)
        require_phone_packing(int8)
        steps = kernel_steps(simulated, int8, example)
    wrong = {name: value for name, value in steps.items() if not value <= _MOST_MEAN_STEPS}
    if wrong:
        worst = max(wrong, key=lambda name: wrong[name])
        raise QuantizeError(
            f"The int8 kernels of {len(wrong)} layers compute something else than int8 arithmetic "
            f"says (worst: {worst}, {wrong[worst]:.1f} steps off on average). Keep them in float "
            f"({' '.join(f'--float-layers {name}' for name in list(wrong)[:5])}) or use the other "
            "scheme."
        )
    layers = describe_layers(simulated, steps)
    if not any(layer.int8 for layer in layers):
        raise nothing_quantized(simulated.module, simulated.recipe, simulated.float_layers)
    joined = sum(layer.feeds_int8 for layer in simulated.layers.values())
    notes = [*simulated.notes, *calibration_notes(simulated.choice)]
    if joined:
        notes.append(f"{joined} times int8 goes straight from one layer to the next.")
    once = len(simulated.shared_inputs) if isinstance(int8, fx.GraphModule) else 0
    if once:
        notes.append(f"{once} tensors that several layers read are quantized once for all.")
    notes += cheap_activation_notes(simulated)
    return Quantized(
        module=int8,
        recipe=simulated.recipe,
        layers=layers,
        notes=tuple(notes),
        simulated=simulated.module,
        trained=trained,
        calibration=simulated.choice,
    )
