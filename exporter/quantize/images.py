"""What a network is calibrated, judged and trained on: folders, as the network gets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from runtime_check.metrics import Metric

from ..errors import UsageError
from ..evaluation import MOST_IMAGES
from ..image.arguments import read_arguments
from ..image.folders import BATCH, SkippedImages, open_folder, read_batches, skipped_for
from ..image.preprocess import COLORS, Preprocess
from ..image.read import Color
from ..image.samples import tensor_samples
from ..notes import Note
from ..options import (
    CALIBRATION_IMAGES,
    DEFAULT_BUDGET,
    NOISE,
    VALUES_BUDGET,
    QuantizeOptions,
)
from ..outputs import run
from ..plan import Plan
from ..progress import Listener
from ..rewrites.watch import Example
from .auto import Exam
from .calibrate import check_calibration
from .training_data import TrainingSet, training_set

_NOISY = "CALIBRATED ON NOISE: the ranges mean nothing for real images."


@dataclass(frozen=True, kw_only=True)
class Photos:
    """How photos become inputs of the network: the plan's preprocessing, or why there is none.

    Calibration sees exactly what the shipped network will.
    """

    plan: Plan

    @property
    def color(self) -> Color:
        """What photos are read as."""
        return COLORS.get(self._channels, "RGB")

    @property
    def _channels(self) -> int:
        stated = self.plan.preprocessing
        return 3 if stated is None else stated.input_size[0]

    def read(self, pixels: np.ndarray) -> Tensor:
        """Turn uint8 H,W,C into the network's input C,H,W; raises as `require`."""
        return run(self.require(), (torch.from_numpy(pixels),))[0][0]

    def require(self) -> Preprocess:
        """Return the preprocessing; raise `UsageError` where none is stated."""
        reader = self.plan.reader
        if reader is not None:
            return reader
        shape = self.plan.inputs[0][0].shape[1:]
        item = ",".join(map(str, shape))
        stated = "--mean and --std, one number a channel"
        if len(shape) == 3 and shape[0] in COLORS:
            halves = ",".join([".5"] * shape[0])
            stated = f"--mean and --std (`--mean {halves} --std {halves}` is -1 to 1)"
        raise UsageError(
            f"Photos need preprocessing, and {self.plan.source.name} does not say how it wants "
            f"them: give {stated}. Or calibrate on network inputs saved as .npy or .npz files, "
            f"each of shape {item} or several in a row; or on `--calibration noise`."
        )


def calibration_images(
    options: QuantizeOptions, plan: Plan, tell: Listener
) -> tuple[Sequence[Example], list[Note], tuple[SkippedImages, ...]]:
    """Return batches to calibrate on, none where no recipe needs them, and what they are."""
    example = plan.inputs[0][0]
    if options.calibration is None:
        return [], [], ()
    if len(plan.inputs[0]) > 1:
        return *_calibration_arguments(options, plan), ()
    if options.calibration == NOISE:
        generator = torch.Generator().manual_seed(options.recipes[0].seed)
        shape = (8, *example.shape[1:])
        return [torch.randn(shape, generator=generator)], [Note("noise", _NOISY)], ()
    photos = Photos(plan=plan)
    found = read_batches(
        Path(options.calibration),
        photos.read,
        limit=options.calibration_images or CALIBRATION_IMAGES,
        color=photos.color,
        item=example.shape[1:],
        tell=tell,
    )
    check_calibration(found.batches)
    notes = [Note("quantize", f"calibrated on {found}")]
    return found.batches, notes, skipped_for("calibration", found.skipped)


def _calibration_arguments(
    options: QuantizeOptions, plan: Plan
) -> tuple[Sequence[Example], list[Note]]:
    """Return the arguments of several calls, which no photos give, and what they are."""
    takes, limit = plan.source.takes, options.calibration_images or CALIBRATION_IMAGES
    if options.calibration == NOISE:
        drawn = tensor_samples(takes, count=10, seed=options.recipes[0].seed)
        noise = [sample.inputs for sample in drawn if sample.name.startswith("normal")]
        return noise, [Note("noise", _NOISY)]
    place = Path(str(options.calibration))
    found = read_arguments(place, takes, limit=limit)
    check_calibration(found)
    return found, [Note("quantize", f"calibrated on {len(found)} sets of saved inputs")]


def training_images(
    options: QuantizeOptions, plan: Plan, metric: Metric
) -> tuple[TrainingSet | None, tuple[SkippedImages, ...]]:
    """Open the folder to train on, where there is one; classes are labels of classifiers alone."""
    if options.train is None:
        return None, ()
    labels = plan.source.labels if metric.kind == "classes" else None
    train = training_set(options.train, Photos(plan=plan).require(), labels=labels)
    return train, skipped_for("training", train.skipped)


def exam_images(
    options: QuantizeOptions,
    plan: Plan,
    metric: Metric,
    calibration: Sequence[Example],
    skipped: Sequence[SkippedImages],
) -> tuple[Sequence[Example], Exam, Note, tuple[SkippedImages, ...]]:
    """Return what is left to calibrate on, what candidates are judged on, and which images."""
    unit = _unit(plan) if metric.kind == "none" else ""
    budget = options.budget or (VALUES_BUDGET if metric.kind == "none" else DEFAULT_BUDGET)
    if options.evaluate is not None:
        photos = Photos(plan=plan)
        photos.require()
        labels = plan.source.labels if metric.kind == "classes" else None
        folder = open_folder(options.evaluate, labels=labels, limit=MOST_IMAGES, color=photos.color)
        measured = [
            folder.load(range(start, min(start + BATCH, len(folder))), photos.read)
            for start in range(0, len(folder), BATCH)
        ]
        classes = None if folder.classes is None else torch.tensor(folder.classes)
        exam = Exam(measured=measured, labels=classes, budget=budget, metric=metric, unit=unit)
        how = Note("auto", f"judged on {len(folder)} images")
        return calibration, exam, how, skipped_for("evaluation", folder.skipped)
    images = [one for batch in calibration for one in _singles(batch)]
    single = len(plan.inputs[0]) == 1
    what, or_else = ("images", ", or `--evaluate DIR`") if single else ("sets of inputs", "")
    if len(images) < 8:
        raise UsageError(
            f"{len(images)} {what} are too few to calibrate on some and judge on others"
            f"{''.join(f' ({some})' for some in skipped)}. Give at least 8{or_else}."
        )
    # Every fourth image judges, and is not calibrated on.
    judging = images[::4]
    kept = [image for index, image in enumerate(images) if index % 4]
    exam = Exam(measured=_batched(judging), budget=budget, metric=metric, unit=unit)
    text = f"judged on {len(judging)} {what} held out from calibration"
    return _batched(kept), exam, Note("auto", text), ()


def _singles(batch: Example) -> Sequence[Example]:
    return batch.split(1) if isinstance(batch, Tensor) else [batch]


def _batched(images: Sequence[Example]) -> Sequence[Example]:
    """Put single images into batches; arguments of a call stay as they are."""
    tensors = [image for image in images if isinstance(image, Tensor)]
    return torch.cat(tensors).split(BATCH) if tensors else images


def _unit(plan: Plan) -> str:
    """Return the unit of the only output, where it has one."""
    outputs = plan.meaning.outputs
    return (outputs[0].unit or "") if len(outputs) == 1 else ""
