"""What a network is calibrated, judged and trained on: folders, as the network gets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from runtime_check.metrics import Metric

from ..errors import UsageError
from ..evaluation import MOST_IMAGES
from ..image.folders import BATCH, SkippedImages, open_folder, read_batches, skipped_for
from ..image.preprocess import COLORS
from ..image.read import Color
from ..notes import Note
from ..options import CALIBRATION_IMAGES, DEFAULT_BUDGET, NOISE, QuantizeOptions
from ..outputs import run
from ..plan import Plan
from ..progress import Listener
from .auto import Exam
from .calibrate import check_calibration
from .qat import TrainingSet, training_set


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

    def require(self) -> nn.Module:
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
) -> tuple[Sequence[Tensor], list[Note], tuple[SkippedImages, ...]]:
    """Return batches to calibrate on, none where no recipe needs them, and what they are."""
    example = plan.inputs[0][0]
    if options.calibration is None:
        return [], [], ()
    if options.calibration == NOISE:
        generator = torch.Generator().manual_seed(options.recipes[0].seed)
        shape = (8, *example.shape[1:])
        noise = torch.randn(shape, generator=generator)
        warning = "CALIBRATED ON NOISE: the ranges mean nothing for real images."
        return [noise], [Note("noise", warning)], ()
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


def training_images(
    options: QuantizeOptions, plan: Plan, metric: Metric
) -> tuple[TrainingSet | None, tuple[SkippedImages, ...]]:
    """Open the folder to train on, where there is one; classes are labels of classifiers alone."""
    if options.train is None:
        return None, ()
    photos = Photos(plan=plan)
    photos.require()
    labels = plan.source.labels if metric.kind == "classes" else None
    train = training_set(options.train, photos.read, labels=labels, color=photos.color)
    return train, skipped_for("training", train.skipped)


def exam_images(
    options: QuantizeOptions,
    plan: Plan,
    metric: Metric,
    calibration: Sequence[Tensor],
    skipped: Sequence[SkippedImages],
) -> tuple[Sequence[Tensor], Exam, Note, tuple[SkippedImages, ...]]:
    """Return what is left to calibrate on, what candidates are judged on, and which images."""
    budget = options.budget or DEFAULT_BUDGET
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
        exam = Exam(measured=measured, labels=classes, budget=budget, metric=metric)
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
    exam = Exam(measured=images[judging].split(BATCH), budget=budget, metric=metric)
    text = f"judged on {int(judging.sum())} images held out from calibration"
    return images[~judging].split(BATCH), exam, Note("auto", text), ()
