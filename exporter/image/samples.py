"""The inputs that every step is judged on: small photos and synthetic extremes, always the same."""

from __future__ import annotations

import importlib.resources
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from runtime_check.artifact.metadata import InputTensor

PHOTOS = ("cat", "coffee", "rocket")

# Values of an input above which noise is drawn on a grid, so that a file that holds it packs it,
# and above which neighbors share one besides. A picture of 224 x 224 has 150,528.
_LARGE = 2**18
_HUGE = 2**20
# Grids of noise: of a normal one, and how many steps a range has.
_SPACING = 0.5
_STEPS = 7


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


def image_samples(channels: int = 3) -> list[Sample]:
    """Return the golden images as `forward` arguments: RGB, or gray or RGBA by `channels`."""
    return [
        Sample(name, (torch.from_numpy(in_channels(image, channels).copy()),))
        for name, image in golden_images().items()
    ]


def in_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Turn uint8 RGB `[H, W, 3]` into `[H, W, channels]`: gray as Pillow has it, RGBA opaque."""
    if channels == 3:
        return image
    modes: dict[int, str] = {1: "L", 4: "RGBA"}
    converted = np.asarray(Image.fromarray(image).convert(modes[channels]))
    return converted.reshape(*image.shape[:2], channels)


def tensor_samples(
    takes: Sequence[InputTensor],
    *,
    example: Sequence[np.ndarray] = (),
    count: int = 5,
    seed: int = 0,
) -> list[Sample]:
    """Return inputs of the bare network: normal noise, smooth fields, zeros; the user's own first.

    Each has a tensor for each of `takes`, within its range where one is stated. Noise of large
    inputs takes few values: as drawn, two inputs of 512 x 512 pixels fill 6 MB of a file.
    """
    generator = torch.Generator().manual_seed(seed)
    values = sum(math.prod(spec.shape) for spec in takes)
    samples = [] if not example else [Sample("example", tuple(map(_tensor, example)))]
    samples.append(Sample("zeros", tuple(_zeros(spec) for spec in takes)))
    for index in range(count - 2):
        drawn = tuple(_noise(spec, generator, values) for spec in takes)
        samples.append(Sample(f"normal-{index}", drawn))
    return [*samples, Sample("ramp", tuple(_ramp(spec) for spec in takes))]


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _limits(spec: InputTensor) -> tuple[float, float] | None:
    """Return the range of an input's values; None for floats of any size."""
    if spec.low is not None and spec.high is not None:
        return spec.low, spec.high
    whole = {"bool": (0.0, 1.0), "uint8": (0.0, 255.0), "int32": (0.0, 7.0), "int64": (0.0, 7.0)}
    return whole.get(spec.dtype)


def _as_spec(values: Tensor, spec: InputTensor) -> Tensor:
    dtype: torch.dtype = getattr(torch, spec.dtype)
    if not dtype.is_floating_point:
        values = values.round()
    return values.reshape(spec.shape).to(dtype)


def _zeros(spec: InputTensor) -> Tensor:
    low, high = _limits(spec) or (0.0, 0.0)
    return _as_spec(torch.full(spec.shape, min(max(0.0, low), high)), spec)


def _noise(spec: InputTensor, generator: torch.Generator, values: int) -> Tensor:
    """Draw a tensor of noise; a sample has so many `values` in all its tensors."""
    limits = _limits(spec)
    # Adding zero leaves no negative one.
    if limits is None:
        drawn = _drawn(torch.randn, spec, generator, values)
        return _as_spec(
            drawn if values <= _LARGE else (drawn / _SPACING).round() * _SPACING + 0.0, spec
        )
    low, high = limits
    share = _drawn(torch.rand, spec, generator, values)
    share = share if values <= _LARGE else (share * _STEPS).round() / _STEPS
    return _as_spec(low + (high - low) * share, spec)


def _drawn(
    draw: Callable[..., Tensor], spec: InputTensor, generator: torch.Generator, values: int
) -> Tensor:
    """Draw a number for each value of a tensor, or for each two neighbors of a huge one."""
    if values <= _HUGE:
        return draw(spec.shape, generator=generator)
    size = math.prod(spec.shape)
    return draw((size + 1) // 2, generator=generator).repeat_interleave(2)[:size]


def _ramp(spec: InputTensor) -> Tensor:
    # Every value between -2 and 2 once, as a natural image's range after normalization.
    low, high = _limits(spec) or (-2.0, 2.0)
    return _as_spec(torch.linspace(low, high, int(np.prod(spec.shape))), spec)
