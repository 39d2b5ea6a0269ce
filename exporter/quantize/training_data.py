"""What QAT trains on, and in which order: the same whatever reads it and however many train."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..errors import TrainingDataError
from ..image.batches import normalize
from ..image.folders import image_files, open_folder, skipped_for
from ..image.preprocess import COLORS, Preprocess
from ..image.read import Skipped
from ..training import TrainingOptions
from .augment import Augment
from .pixels import FolderPixels, opened

# Images of a training folder that are used at most.
_MOST_IMAGES = 20_000
_VALIDATE_EVERY = 10


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Images as normalized batches, with class indices or without; made by `training_set`.

    `load(indices)` returns the batch (N,C,H,W) of those images. `labels` is None for
    distillation. `validation` holds indices that are never trained on. `pixels` are what
    augmentations work on, uint8; without, there are none.
    """

    load: Callable[[Sequence[int]], Tensor]
    count: int
    labels: Tensor | None
    validation: tuple[int, ...]
    skipped: tuple[Skipped, ...] = ()
    pixels: FolderPixels | None = None

    @property
    def trained_on(self) -> list[int]:
        """The indices that do not validate."""
        return sorted(set(range(self.count)) - set(self.validation))


def training_set(
    folder: Path, preprocess: Preprocess, *, labels: Sequence[str] | None
) -> TrainingSet:
    """Open `folder`: class folders named like the `labels`, or plain images to distill on.

    Images are decoded once and kept as pixels of the network's size. Every tenth validates. Raises
    ImageFolderError where folders and labels do not fit, TrainingDataError for less than two.
    """
    limit = min(_MOST_IMAGES, len(image_files(folder).files))
    pixels = opened(
        lambda keep: open_folder(
            folder,
            labels=labels,
            limit=limit,
            color=COLORS[preprocess.channels],
            keep=keep,
        ),
        preprocess,
        limit=limit,
    )
    images = pixels.images
    if len(images) < 2:
        raise TrainingDataError(
            f"{folder} holds {len(images)} images that can serve"
            f"{''.join(f' ({some})' for some in skipped_for('training', images.skipped))}. "
            "Training needs at least two, and is worth its time from some hundreds on."
        )
    return TrainingSet(
        load=partial(_load, pixels),
        count=len(images),
        labels=None if images.classes is None else torch.tensor(images.classes),
        validation=tuple(range(0, len(images), _VALIDATE_EVERY)),
        skipped=images.skipped,
        pixels=pixels,
    )


def _load(pixels: FolderPixels, indices: Sequence[int]) -> Tensor:
    return normalize(pixels.cache.preprocess, pixels(indices))


@dataclass(frozen=True)
class Part:
    """Images that the network is given at once; their mean loss counts `share` of a step's.

    `ends_step` says that the optimizer moves after it.
    """

    images: tuple[int, ...]
    share: float
    ends_step: bool
    epoch: int


@dataclass
class Order:
    """The parts of one epoch for one of `world` processes, which together make each step.

    A step takes `batch_size` images of every process. Which images make which step depends on the
    seed, the epoch and the images of a step alone, so two processes of 16 train as one of 32.
    """

    trained_on: Sequence[int]
    batch_size: int
    seed: int
    at_once: int | None = None
    weights: Tensor | None = None  # how often an image is drawn; None is once each
    rank: int = 0
    world: int = 1
    epoch: int = field(default=0)

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.trained_on) // (self.batch_size * self.world))

    def images(self) -> list[int]:
        """Return the images of this epoch in order, those of all processes."""
        # Seeded by epoch, so that a resumed run sees what an unbroken one would have seen.
        seed = (self.seed * 1_000_003 + self.epoch) % 2**63
        generator = torch.Generator().manual_seed(seed)
        count = len(self.trained_on)
        if self.weights is None:
            chosen = torch.randperm(count, generator=generator)
        else:
            chosen = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        return [self.trained_on[i] for i in chosen.tolist()]

    def __iter__(self) -> Iterator[Part]:
        images = self.images()
        for start in range(0, len(images), size := self.batch_size * self.world):
            together = images[start : start + size]
            mine = together[self.rank :: self.world]
            # The last step may have fewer images than processes; all of them must take it.
            shared = mine or together[:1]
            parts = chunks(shared, self.at_once or self.batch_size)
            for index, part in enumerate(parts):
                # Gradients of processes are averaged, so each counts `world` times.
                share = len(part) * self.world / len(together) if mine else 0.0
                yield Part(tuple(part), share, index == len(parts) - 1, self.epoch)


def chunks(images: Sequence[int], size: int) -> list[Sequence[int]]:
    """Cut `images` into pieces of `size`; the last may be shorter."""
    return [images[start : start + size] for start in range(0, len(images), size)]


def balancing(labels: Tensor | None, trained_on: Sequence[int]) -> Tensor:
    """Return weights that draw every class equally often; raise TrainingDataError without."""
    if labels is None:
        raise TrainingDataError(
            "--balanced draws every class equally often, and these images have no classes. Give "
            "class folders named like the labels."
        )
    mine = labels[list(trained_on)]
    return 1.0 / torch.bincount(mine)[mine].double()


class _Loaded(Dataset[Any]):
    """A part's images by the part itself: whole batches, so that no image is handled alone."""

    def __init__(self, data: TrainingSet, augment: Augment | None) -> None:
        self.data, self.augment = data, augment

    def __getitem__(self, part: Part) -> tuple[Part, Tensor]:
        if self.augment is None or self.data.pixels is None:
            return part, self.data.load(part.images)
        return part, self.augment(self.data.pixels(part.images), part.images, part.epoch)


def loader(
    data: TrainingSet, order: Order, training: TrainingOptions, *, pinned: bool
) -> DataLoader[Any]:
    """Return what reads the parts of `order`, in `training.workers` processes or in this one.

    Raises TrainingDataError where images cannot be augmented as asked.
    """
    augment = None
    if training.augment != "none":
        if data.pixels is None:
            raise TrainingDataError("--augment needs the images' pixels, and there are none.")
        augment = Augment(training.augment, data.pixels.cache.preprocess, order.seed)
    return DataLoader(
        _Loaded(data, augment),
        batch_size=None,
        sampler=order,
        num_workers=training.workers,
        pin_memory=pinned,
        persistent_workers=training.workers > 0,
    )
