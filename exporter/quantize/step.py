"""Quantize: what the user chose becomes an int8 module, with evidence, or an error.

The recipes and their arithmetic are in `exporter.quantize`; this is where they meet the pipeline:
images through the model's own preprocessing, the budget, and what the metadata says about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from runtime_check.artifact.metadata import Quantization

from ..errors import UsageError
from ..notes import Note
from ..options import CALIBRATION_IMAGES, DEFAULT_BUDGET, NOISE, QuantizeOptions
from ..outputs import run
from ..plan import Plan
from ..progress import Listener, silent
from .api import LayerReport, Quantized, QuantizeImages, quantize
from .auto import Exam, choose
from .calibrate import calibration_batches
from .qat import Trained, TrainingSet, training_set

# Passes of this step that `--disable` knows.


@dataclass(frozen=True, kw_only=True)
class QuantizedNetwork:
    """The network to capture: int8, or the float one it was given."""

    module: nn.Module
    simulated: nn.Module | None  # the fake-quantised twin, for the ledger
    described: Quantization
    notes: tuple[Note, ...]
    layers: tuple[LayerReport, ...] = ()
    trained: Trained | None = None

    @property
    def is_int8(self) -> bool:
        """Whether anything became int8."""
        return self.described.method != "none"


def quantize_network(
    module: nn.Module, plan: Plan, options: QuantizeOptions, tell: Listener = silent
) -> QuantizedNetwork:
    """Make `module` int8 as `options` say, on images that go through the plan's preprocessing.

    Calibration sees exactly what the shipped network will. Raises `QuantizeError` and its leaves.
    """
    example, labels = plan.inputs[0], plan.source.labels
    if options.methods == {"none"}:
        return QuantizedNetwork(module=module, simulated=None, described=Quantization(), notes=())
    through = _reader(plan.reader)
    train = None
    if options.train is not None:
        train = training_set(options.train, through, classes=_classes(options.train, labels))
    if isinstance(options.recipe, tuple):
        return _auto(module, options, example, through, labels, train, tell)
    notes: list[Note] = []
    batches: Sequence[Tensor] | None = None
    if options.recipe.needs_calibration:
        batches, notes = _calibration(options, example, through, tell)
    images = QuantizeImages(
        example=example,
        calibration=batches,
        allow_noise=options.calibration == NOISE,
        train=train,
        checkpoint=options.checkpoint,
    )
    made = quantize(module, options.recipe, images, tell=tell)
    return _network(made, [*notes, *(Note("quantize", text) for text in made.notes)])


def _reader(preprocess: nn.Module | None) -> Callable[[Image.Image], Tensor]:
    def through(image: Image.Image) -> Tensor:
        if preprocess is None:
            raise UsageError(
                "Calibration images need preprocessing, and this module does not say how it wants "
                "images: give --mean and --std, or calibrate on `--calibration noise`."
            )
        pixels = torch.from_numpy(np.array(image.convert("RGB")))
        return run(preprocess, (pixels,))[0][0]

    return through


def _classes(folder: Path, labels: Sequence[str] | None) -> Sequence[str] | None:
    """Labels, where the folder is sorted into classes; None for plain images (distillation)."""
    if not folder.is_dir() or labels is None:
        return None
    return labels if any(child.is_dir() for child in folder.iterdir()) else None


def _calibration(
    options: QuantizeOptions,
    example: Tensor,
    through: Callable[[Image.Image], Tensor],
    tell: Listener,
) -> tuple[Sequence[Tensor], list[Note]]:
    assert options.calibration is not None  # checked when made
    if options.calibration == NOISE:
        generator = torch.Generator().manual_seed(options.recipes[0].seed)
        shape = (8, *example.shape[1:])
        noise = torch.randn(shape, generator=generator)
        warning = "CALIBRATED ON NOISE: the ranges mean nothing for real images."
        return [noise], [Note("noise", warning)]
    limit = options.calibration_images or CALIBRATION_IMAGES
    found = calibration_batches(Path(options.calibration), through, limit=limit, tell=tell)
    notes = [Note("quantize", f"calibrated on {found.images} images")]
    if found.skipped:
        shown = ", ".join(found.skipped[:3])
        text = f"{len(found.skipped)} unreadable calibration images skipped ({shown})"
        notes.append(Note("quantize", text))
    return found.batches, notes


def _auto(
    module: nn.Module,
    options: QuantizeOptions,
    example: Tensor,
    through: Callable[[Image.Image], Tensor],
    labels: Sequence[str] | None,
    train: TrainingSet | None,
    tell: Listener,
) -> QuantizedNetwork:
    batches, notes = _calibration(options, example, through, tell)
    truth: Tensor | None = None
    if options.evaluate is not None:
        # A training set without training: images with their classes, in order.
        data = training_set(options.evaluate, through, classes=_classes(options.evaluate, labels))
        measured = [
            data.load(range(start, min(start + 16, data.count)))
            for start in range(0, data.count, 16)
        ]
        truth = data.labels
        notes.append(Note("auto", f"judged on {data.count} images"))
    else:
        every = torch.cat(list(batches))
        if len(every) < 8:
            raise UsageError(
                f"{len(every)} images are too few to calibrate on some and judge on others. Give "
                "at least 8, or `--evaluate DIR`."
            )
        # Every fourth image judges, and is not calibrated on.
        judging = torch.arange(len(every)) % 4 == 0
        measured = list(every[judging].split(16))
        batches = list(every[~judging].split(16))
        text = f"judged on {int(judging.sum())} images held out from calibration"
        notes.append(Note("auto", text))
    images = QuantizeImages(
        example=example,
        calibration=batches,
        allow_noise=options.calibration == NOISE,
        train=train,
        checkpoint=options.checkpoint,
    )
    exam = Exam(measured=measured, labels=truth, budget=options.budget or DEFAULT_BUDGET)
    found = choose(module, options.recipes, images, exam, tell=tell)
    made = found.chosen.quantized
    notes += [Note("auto", text) for text in (*found.notes, found.table())]
    if made is None:
        return QuantizedNetwork(
            module=module,
            simulated=None,
            described=Quantization(),
            notes=tuple(notes),
        )
    return _network(made, notes)


def _network(made: Quantized, notes: Sequence[Note]) -> QuantizedNetwork:
    recipe = made.recipe
    return QuantizedNetwork(
        module=made.module,
        simulated=made.simulated,
        described=Quantization.model_validate(
            {
                "method": recipe.method,
                "mode": recipe.mode,
                "engine": "qnnpack",
                "scheme": recipe.scheme,
                "recipe": str(recipe),
                "int8_layers": made.int8_layers,
                "float_layers": list(made.float_layers),
            }
        ),
        notes=tuple(notes),
        layers=made.layers,
        trained=made.trained,
    )
