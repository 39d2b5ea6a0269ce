"""Quantize: what the user chose becomes an int8 module, with evidence, or an error.

The recipes and their arithmetic are in `exporter.quantize`; this is where they meet the pipeline:
images through the model's own preprocessing, the budget, and what the metadata says about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from runtime_check.artifact.metadata import Quantization

from ..errors import UsageError
from ..evaluation import MOST_IMAGES
from ..image.folders import (
    BATCH,
    Reader,
    SkippedImages,
    open_folder,
    read_batches,
    skipped_for,
)
from ..notes import Note
from ..options import CALIBRATION_IMAGES, DEFAULT_BUDGET, NOISE, QuantizeOptions
from ..outputs import run
from ..plan import Plan
from ..progress import Listener, silent
from ..recipes import AUTO
from .apply import QuantizeImages, quantize
from .auto import Exam, choose
from .calibrate import check_calibration
from .describe import LayerReport, Quantized
from .place import CalibrationChoice
from .qat import Trained, training_set


@dataclass(frozen=True, kw_only=True)
class QuantizedNetwork:
    """The network to capture: int8, or the float one it was given.

    `skipped` sums up the image files that could not serve; `calibration` is what it chose.
    """

    module: nn.Module
    simulated: nn.Module | None  # the fake-quantized twin, for the ledger
    described: Quantization
    notes: tuple[Note, ...]
    layers: tuple[LayerReport, ...] = ()
    trained: Trained | None = None
    skipped: tuple[SkippedImages, ...] = ()
    calibration: CalibrationChoice | None = None

    @property
    def is_int8(self) -> bool:
        """Whether anything became int8."""
        return self.described.method != "none"


def quantize_network(
    module: nn.Module, plan: Plan, options: QuantizeOptions, tell: Listener = silent
) -> QuantizedNetwork:
    """Make `module` int8 as `options` say, on images that go through the plan's preprocessing.

    Calibration sees exactly what the shipped network will. Raises `QuantizeError` and its leaves,
    and `ImageFolderError`.
    """
    example, labels = plan.inputs[0][0], plan.source.labels
    if options.method == "none":
        return QuantizedNetwork(module=module, simulated=None, described=Quantization(), notes=())
    reader = _reader(plan.reader)
    calibration, notes, skipped = _calibration(options, example, reader, tell)
    exam = None
    if options.method == AUTO:
        calibration, exam, how, unfit = _exam(options, calibration, reader, labels, skipped)
        notes.append(how)
        skipped += unfit
    train = None
    if options.train is not None:
        train = training_set(options.train, reader, labels=labels)
        skipped += skipped_for("training", train.skipped)
    images = QuantizeImages(
        example=example,
        calibration=calibration,
        allow_noise=options.calibration == NOISE,
        train=train,
        checkpoint=options.checkpoint,
    )
    if exam is None:
        quantized = quantize(module, options.recipes[0], images, tell=tell)
        notes += [Note("quantize", text) for text in quantized.notes]
    else:
        found = choose(module, options.recipes, images, exam, tell=tell)
        quantized = found.quantized
        notes += [Note("auto", text) for text in (*found.notes, found.table())]
    return _network(quantized, notes, skipped)


def _reader(preprocess: nn.Module | None) -> Reader:
    def read(pixels: np.ndarray) -> Tensor:
        if preprocess is None:
            raise UsageError(
                "Calibration images need preprocessing, and this module does not say how it wants "
                "images: give --mean and --std, or calibrate on `--calibration noise`."
            )
        return run(preprocess, (torch.from_numpy(pixels),))[0][0]

    return read


def _calibration(
    options: QuantizeOptions, example: Tensor, reader: Reader, tell: Listener
) -> tuple[Sequence[Tensor], list[Note], tuple[SkippedImages, ...]]:
    """Return batches to calibrate on, none where no recipe needs them, and what they are."""
    if options.calibration is None:
        return [], [], ()
    if options.calibration == NOISE:
        generator = torch.Generator().manual_seed(options.recipes[0].seed)
        shape = (8, *example.shape[1:])
        noise = torch.randn(shape, generator=generator)
        warning = "CALIBRATED ON NOISE: the ranges mean nothing for real images."
        return [noise], [Note("noise", warning)], ()
    limit = options.calibration_images or CALIBRATION_IMAGES
    found = read_batches(Path(options.calibration), reader, limit=limit, tell=tell)
    check_calibration(found.batches)
    notes = [Note("quantize", f"calibrated on {found.images} images")]
    return found.batches, notes, skipped_for("calibration", found.skipped)


def _exam(
    options: QuantizeOptions,
    calibration: Sequence[Tensor],
    reader: Reader,
    labels: Sequence[str] | None,
    skipped: Sequence[SkippedImages],
) -> tuple[Sequence[Tensor], Exam, Note, tuple[SkippedImages, ...]]:
    """Return what is left to calibrate on, what candidates are judged on, and which images."""
    budget = options.budget or DEFAULT_BUDGET
    if options.evaluate is not None:
        folder = open_folder(options.evaluate, labels=labels, limit=MOST_IMAGES)
        measured = [
            folder.load(range(start, min(start + BATCH, len(folder))), reader)
            for start in range(0, len(folder), BATCH)
        ]
        classes = None if folder.classes is None else torch.tensor(folder.classes)
        exam = Exam(measured=measured, labels=classes, budget=budget)
        how = Note("auto", f"judged on {len(folder)} images")
        return calibration, exam, how, skipped_for("evaluation", folder.skipped)
    images = torch.cat(list(calibration))
    if len(images) < 8:
        raise UsageError(
            f"{len(images)} images are too few to calibrate on some and judge on others"
            f"{''.join(f' ({some})' for some in skipped)}. Give at least 8, or `--evaluate DIR`."
        )
    # Every fourth image judges, and is not calibrated on.
    judging = torch.arange(len(images)) % 4 == 0
    exam = Exam(measured=images[judging].split(BATCH), budget=budget)
    text = f"judged on {int(judging.sum())} images held out from calibration"
    return images[~judging].split(BATCH), exam, Note("auto", text), ()


def _network(
    made: Quantized, notes: Sequence[Note], skipped: tuple[SkippedImages, ...]
) -> QuantizedNetwork:
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
        skipped=skipped,
        calibration=made.calibration,
    )
