"""The inputs that every step is judged on: small photos and synthetic extremes, always the same."""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

PHOTOS = ("cat", "coffee", "rocket")


def photo_path(name: str) -> Path:
    """Return the file of one of the packaged photos."""
    return Path(str(importlib.resources.files("exporter"))) / "data" / "photos" / f"{name}.png"


@cache
def photo(name: str) -> np.ndarray:
    """Return a packaged photo as uint8 `[H, W, 3]`, read-only."""
    with Image.open(photo_path(name)) as image:
        pixels = np.asarray(image.convert("RGB"))
    pixels.setflags(write=False)
    return pixels


@dataclass(frozen=True)
class Sample:
    """One named input: the arguments of `forward`."""

    name: str
    inputs: tuple[Tensor, ...]


def _small(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def golden_images() -> dict[str, np.ndarray]:
    """Return the golden inputs of image artifacts: uint8 `[H, W, 3]`, small and of odd sizes.

    Photos because that is what people send; a gradient and noise because they show resize and
    rounding errors that photos hide.
    """
    rows, columns = np.mgrid[0:48, 0:80]
    gradient = np.stack([rows * 5, columns * 3, (rows + columns) * 2], -1).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (64, 56, 3), dtype=np.uint8)
    return {
        "cat": _small(photo("cat"), 144, 96),
        "coffee": _small(photo("coffee"), 101, 67),
        "rocket": _small(photo("rocket"), 75, 112),
        "gradient": gradient,
        "noise": noise,
    }


def image_samples() -> list[Sample]:
    """Return the golden images as `forward` arguments."""
    return [
        Sample(name, (torch.from_numpy(image.copy()),)) for name, image in golden_images().items()
    ]


def tensor_samples(shape: tuple[int, ...], *, count: int = 5, seed: int = 0) -> list[Sample]:
    """Return float32 inputs of `shape` for the bare network: normal noise, smooth fields, zeros."""
    generator = torch.Generator().manual_seed(seed)
    samples = [Sample("zeros", (torch.zeros(shape),))]
    for index in range(count - 2):
        samples.append(Sample(f"normal-{index}", (torch.randn(shape, generator=generator),)))
    # A ramp: every value between -2 and 2 once, as a natural image's range after normalization.
    ramp = torch.linspace(-2, 2, int(np.prod(shape))).reshape(shape)
    return [*samples, Sample("ramp", (ramp,))]
