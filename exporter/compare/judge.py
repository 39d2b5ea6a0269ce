"""Judge a saved file on images: accuracy where they have classes, agreement with float32 anyway."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from runtime_check.artifact.metadata import ImageInput, LedgerRow
from runtime_check.differences import decibels
from runtime_check.metrics import Metric, agreement_of, measure, metric_of
from runtime_check.outputs import flatten

from ..artifact import Artifact
from ..errors import UsageError
from ..evaluation import MOST_IMAGES
from ..image.folders import ImageFolder, open_folder
from ..image.preprocess import COLORS, Preprocess
from ..outputs import run
from ..plan import Plan
from ..quantize.evaluate import AGREEMENT, measured_floats
from .result import Quality

Outputs = Sequence[Tensor]


def from_ledger(row: LedgerRow, metric: Metric) -> Quality:
    """Take what the ledger says of the saved file on its few golden inputs: there are no images.

    Shares of five inputs are no figure to choose by; they are there so that a wreck shows.
    """
    return Quality(
        on="golden inputs",
        images=row.inputs or 0,
        metric=AGREEMENT[metric.kind],
        agreement=agreement_of(row),
        sqnr_db=row.sqnr_db,
        max_abs=row.max_abs,
    )


def judge(artifact: Artifact, plan: Plan, folder: Path) -> Quality:
    """Run the saved file and eager float32 on up to 1000 images of `folder`, one at a time.

    Images have classes where the folder has subfolders and the outputs are scores of labels. Raises
    `UsageError` where the model does not say how it wants images, `ImageFolderError` where none can
    serve or a class folder matches no label.
    """
    reader = plan.reader
    if reader is None:
        raise UsageError(
            f"--evaluate takes photos, and {plan.source.name} does not say how it wants images."
        )
    metric = metric_of(artifact.metadata)
    labels = plan.source.labels if metric.kind == "classes" else None
    images = open_folder(folder, labels=labels, limit=MOST_IMAGES, color=COLORS[reader.channels])
    whole = plan.whole(plan.source.module)
    tally = Tally(metric)
    for index, inputs in enumerate(_inputs(images, reader, artifact, plan.preprocess is not None)):
        label = None if images.classes is None else images.classes[index]
        tally.add(run(whole, inputs), flatten(artifact(*inputs)), label)
    return tally.quality()


def _inputs(
    images: ImageFolder, reader: Preprocess, artifact: Artifact, as_photos: bool
) -> Iterator[tuple[Tensor, ...]]:
    """Yield what the file takes of each image: the photo itself, or the network's input."""

    def photo(pixels: np.ndarray) -> Tensor:
        spec = artifact.metadata.input
        most = spec.max_side if isinstance(spec, ImageInput) else max(pixels.shape[:2])
        return torch.from_numpy(within(pixels, most))

    def network(pixels: np.ndarray) -> Tensor:
        return run(reader, (torch.from_numpy(pixels),))[0][0]

    read: Callable[[np.ndarray], Tensor] = photo if as_photos else network
    for index in range(len(images)):
        batch = images.load([index], read)
        yield (batch[0] if as_photos else batch,)


def within(pixels: np.ndarray, most: int) -> np.ndarray:
    """Shrink uint8 `[H, W, C]` until no side is above `most` pixels, as an app has to."""
    height, width = pixels.shape[:2]
    scale = most / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    shrunk = np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
    return np.array(shrunk).reshape(*shrunk.shape[:2], pixels.shape[-1])


@dataclass(kw_only=False)
class Tally:
    """Sums over images; nothing of an image is kept, since a map of classes may take megabytes."""

    metric: Metric
    shares: list[float] = field(default_factory=list)
    labeled: int = 0
    hits: int = 0
    float_hits: int = 0
    signal: float = 0.0
    noise: float = 0.0
    max_abs: float = 0.0
    images: int = 0
    comparable: bool = True

    def add(self, expected: Outputs, actual: Outputs, label: int | None) -> None:
        """Count one image's outputs: eager's, the file's, and the index of its class."""
        self.images += 1
        one, other = ([t.numpy() for t in side] for side in (expected, actual))
        share = agreement_of(measure(self.metric, one, other))
        if share is not None:
            self.shares.append(share)
        if label is not None:
            self.labeled += 1
            best = [int(side[self.metric.output].reshape(-1).argmax()) for side in (one, other)]
            self.float_hits += best[0] == label
            self.hits += best[1] == label
        for index in measured_floats(expected, self.metric):
            if one[index].shape != other[index].shape:  # of boxes there may be more or fewer
                self.comparable = False
                continue
            wanted = one[index].astype(np.float64)
            apart = wanted - other[index].astype(np.float64)
            self.signal += float(np.square(wanted).sum())
            self.noise += float(np.square(apart).sum())
            self.max_abs = max(self.max_abs, float(np.abs(apart).max(initial=0.0)))

    def quality(self) -> Quality:
        """Return the shares and the noise of all images together."""
        combine = min if self.metric.kind == "vectors" else _mean
        sqnr = decibels(self.signal, self.noise) if self.comparable else None
        return Quality(
            on="images",
            images=self.images,
            metric=AGREEMENT[self.metric.kind],
            agreement=combine(self.shares) if self.shares else None,
            sqnr_db=None if sqnr is None or math.isinf(sqnr) else sqnr,
            max_abs=self.max_abs if self.comparable else None,
            accuracy=self.hits / self.labeled if self.labeled else None,
            float_accuracy=self.float_hits / self.labeled if self.labeled else None,
        )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
