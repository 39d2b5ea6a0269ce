"""Draw inputs from an artifact's own input spec, as small recipes that hypothesis can shrink.

A recipe is a few integers and names, not bytes: the shrinker then walks towards a small image of
one color instead of towards a different noise, and the counterexample reads like a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..artifact.metadata import ImageInput, Metadata, Preprocessing, TensorInput

# Simplest first: hypothesis shrinks `sampled_from` towards the front.
IMAGE_CONTENTS = (
    "constant",
    "gradient",
    "pixel",
    "checkerboard",
    "blobs",
    "pink",
    "noise",
)
# Contents whose neighboring pixels resemble each other, as in photos: the resize of Pillow (two
# uint8 passes) and of the graph (float) agree on these to 1-2 gray levels, on the others to ~20.
NATURAL = ("constant", "gradient", "blobs", "pink")
FINITE_CONTENTS = ("zero", "normal", "negative-zero", "constant", "impulse", "denormal", "large")
NONFINITE_CONTENTS = ("nan", "inf", "-inf")


@dataclass(frozen=True)
class ImageRecipe:
    """One uint8 image, height x width x channels."""

    content: str
    height: int
    width: int
    level: int  # 0 to 255: the constant, the pixel, one side of the checkerboard
    seed: int
    channels: int = 3

    def build(self) -> list[np.ndarray]:
        """Paint it. Returns one array, height x width x channels, uint8."""
        painted = _PAINTERS[self.content](self)
        if self.channels == 1:
            return [np.ascontiguousarray(painted[..., 1:2])]
        if self.channels == 4:  # the alpha channel turned about, so that no two are alike
            return [np.concatenate([painted, painted[::-1, ::-1, :1]], axis=-1)]
        return [painted]

    @property
    def natural(self) -> bool:
        """Whether neighboring pixels resemble each other, as in photos."""
        return self.content in NATURAL


@dataclass(frozen=True)
class TensorRecipe:
    """The tensors of one call of `forward`."""

    content: str
    batch: int | None  # replaces the first dimension; None keeps the stated shape
    seed: int
    specs: tuple[tuple[tuple[int, ...], str], ...]
    ranges: tuple[tuple[float, float] | None, ...] = ()  # of each, where the file states one

    def build(self) -> list[np.ndarray]:
        """Fill them. Returns one array a tensor argument."""
        rng = np.random.default_rng(self.seed)
        arrays = []
        for index, (shape, dtype) in enumerate(self.specs):
            full = shape if self.batch is None else (self.batch, *shape[1:])
            limits = self.ranges[index] if index < len(self.ranges) else None
            if limits is None:
                arrays.append(_fill(self.content, full, dtype, rng))
            else:
                arrays.append(_within(self.content, full, dtype, limits, rng))
        return arrays

    @property
    def natural(self) -> bool:
        """Whether the values look like what preprocessing yields."""
        return self.content in ("zero", "normal", "constant")


Recipe = ImageRecipe | TensorRecipe


def _grid(recipe: ImageRecipe) -> tuple[np.ndarray, np.ndarray]:
    rows = np.linspace(0.0, 1.0, recipe.height)[:, None]
    columns = np.linspace(0.0, 1.0, recipe.width)[None, :]
    return rows, columns


def _to_image(field: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.clip(np.rint(field), 0, 255).astype(np.uint8))


def _constant(recipe: ImageRecipe) -> np.ndarray:
    return np.full((recipe.height, recipe.width, 3), recipe.level, np.uint8)


def _gradient(recipe: ImageRecipe) -> np.ndarray:
    rows, columns = _grid(recipe)
    # Each channel runs another way, so a swap of channels or axes shows.
    blank = np.zeros((recipe.height, recipe.width))
    channels = [rows + blank, columns + blank, 1.0 - (rows + columns) / 2]
    return _to_image(np.stack(channels, -1) * recipe.level)


def _pixel(recipe: ImageRecipe) -> np.ndarray:
    image = np.full((recipe.height, recipe.width, 3), 255 - recipe.level, np.uint8)
    at = recipe.seed % (recipe.height * recipe.width)
    image[at // recipe.width, at % recipe.width, recipe.seed % 3] = recipe.level
    return image


def _checkerboard(recipe: ImageRecipe) -> np.ndarray:
    cell = 1 + recipe.seed % 8
    rows, columns = np.indices((recipe.height, recipe.width)) // cell
    board = np.where((rows + columns) % 2 == 0, recipe.level, 255 - recipe.level)
    return np.ascontiguousarray(np.repeat(board[..., None], 3, axis=-1).astype(np.uint8))


def _blobs(recipe: ImageRecipe) -> np.ndarray:
    """Smooth colored discs on a slope: cheap at any size, and every edge is soft."""
    rng = np.random.default_rng(recipe.seed)
    rows, columns = _grid(recipe)
    field = np.full((recipe.height, recipe.width, 3), 64.0 + recipe.level / 2)
    for _ in range(6):
        row, column, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.1, 0.4)
        disc = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * radius**2))
        field += disc[..., None] * rng.uniform(-120, 120, 3)
    return _to_image(field)


def _pink(recipe: ImageRecipe) -> np.ndarray:
    """1/f^1.5 noise per channel, correlated over color: the spectrum of photos.

    Natural images fall off as about 1/f in amplitude (Field 1987); the steeper slope is that of
    a photo whose camera has smoothed it, which all have.
    """
    rng = np.random.default_rng(recipe.seed)
    vertical = np.fft.fftfreq(recipe.height)[:, None]
    horizontal = np.fft.rfftfreq(recipe.width)[None, :]
    radius = np.sqrt(vertical**2 + horizontal**2)
    radius[0, 0] = 1.0
    layers = []
    for _ in range(2):
        white = rng.standard_normal((recipe.height, recipe.width))
        spectrum = np.fft.rfft2(white) / radius**1.5
        spectrum[0, 0] = 0.0
        field = np.fft.irfft2(spectrum, s=(recipe.height, recipe.width))
        layers.append(field / (float(field.std()) or 1.0))
    mix = rng.uniform(-1, 1, 3)
    image = np.stack([layers[0] + m * layers[1] for m in mix], -1)
    return _to_image(128 + 48 * image)


def _noise(recipe: ImageRecipe) -> np.ndarray:
    rng = np.random.default_rng(recipe.seed)
    return rng.integers(0, 256, (recipe.height, recipe.width, 3), dtype=np.uint8)


_PAINTERS: dict[str, Callable[[ImageRecipe], np.ndarray]] = {
    "constant": _constant,
    "gradient": _gradient,
    "pixel": _pixel,
    "checkerboard": _checkerboard,
    "blobs": _blobs,
    "pink": _pink,
    "noise": _noise,
}


def _fill(content: str, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype in ("uint8", "int32", "int64"):
        high = 1 if content == "zero" else 256 if dtype == "uint8" else 8
        return rng.integers(0, high, shape).astype(dtype)
    values = rng.standard_normal(shape)
    flat = values.reshape(-1)
    if content == "zero":
        values = np.zeros(shape)
    elif content == "negative-zero":
        values = np.where(values < 0, -0.0, 0.0)
    elif content == "constant":
        values = np.full(shape, float(rng.uniform(-2, 2)))
    elif content == "impulse" and flat.size:
        at = int(rng.integers(flat.size))
        values = np.zeros(shape)
        values.reshape(-1)[at] = 10.0
    elif content == "denormal":
        values = values * float(np.finfo(np.float32).tiny) / 8
    elif content == "large":
        values = values * 1e4
    elif content in NONFINITE_CONTENTS and flat.size:
        flat[int(rng.integers(flat.size))] = float(content)
    return values.astype(dtype)


def _within(
    content: str,
    shape: tuple[int, ...],
    dtype: str,
    limits: tuple[float, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Fill with values that a file says it takes; large ones are either end."""
    low, high = limits
    if content in ("zero", "negative-zero", "denormal"):
        values = np.full(shape, min(max(0.0, low), high))
    elif content == "constant":
        values = np.full(shape, rng.uniform(low, high))
    elif content == "large":
        values = rng.choice((low, high), shape)
    else:
        values = rng.uniform(low, high, shape)
    if dtype == "bool" or dtype.startswith(("int", "uint")):
        whole: np.ndarray = np.clip(np.rint(values), low, high).astype(dtype)
        return whole
    flat = values.reshape(-1)
    if content in NONFINITE_CONTENTS and flat.size:
        flat[int(rng.integers(flat.size))] = float(content)
    return values.astype(dtype)


def unresized_size(preprocessing: Preprocessing) -> tuple[int, int]:
    """Return the height and width that timm's transform only crops: no resize, so no rounding."""
    _, height, width = preprocessing.input_size
    if preprocessing.crop_mode != "center":
        return height, width
    # timm.data.transforms_factory.transforms_imagenet_eval: floor(size / crop_pct).
    return (
        math.floor(height / preprocessing.crop_pct),
        math.floor(width / preprocessing.crop_pct),
    )


def image_recipes(
    spec: ImageInput,
    *,
    sizes: st.SearchStrategy[tuple[int, int]] | None = None,
    contents: tuple[str, ...] = IMAGE_CONTENTS,
    max_pixels: int = 400_000,
    scale: int = 256,
) -> st.SearchStrategy[ImageRecipe]:
    """Draw images within the stated bounds, at most about `max_pixels` large.

    Without `sizes`: mostly everyday sizes, sometimes the smallest, the largest and the most
    elongated that the bounds and `max_pixels` allow.
    """
    return st.builds(
        _image_recipe,
        st.sampled_from(contents),
        image_sizes(spec, max_pixels, scale=scale) if sizes is None else sizes,
        st.sampled_from((0, 255, 1, 254, 127, 128)) | st.integers(0, 255),
        st.integers(0, 2**16 - 1),
        st.just(spec.channels),
    )


def _image_recipe(
    content: str, size: tuple[int, int], level: int, seed: int, channels: int
) -> ImageRecipe:
    return ImageRecipe(content, size[0], size[1], level, seed, channels)


def image_sizes(
    spec: ImageInput, max_pixels: int, *, scale: int = 256
) -> st.SearchStrategy[tuple[int, int]]:
    """Draw (height, width) within the bounds: everyday, tiny, large and elongated ones.

    timm resizes the short edge to `scale` before it crops, so an elongated image grows with the
    square of its aspect; elongations stop where that copy is ten times `max_pixels`.
    """
    low = spec.min_side
    square = max(low, min(spec.max_side, math.isqrt(max_pixels)))
    longest = max(low, min(spec.max_side, max_pixels // low))
    longest = max(low, min(longest, low * max(2, 10 * max_pixels // scale**2)))
    longest = min(longest, low * spec.max_aspect)
    # Any two everyday sides are within the aspect the file accepts.
    least = max(low, 32, -(-min(square, max(low, 640)) // spec.max_aspect))
    everyday = st.integers(min(least, square), min(square, max(low, 640)))
    extreme = st.sampled_from(
        tuple(dict.fromkeys(((low, low), (low, longest), (longest, low), (square, square))))
    )
    return st.tuples(everyday, everyday) | extreme


def tensor_recipes(
    spec: TensorInput,
    *,
    contents: tuple[str, ...] = FINITE_CONTENTS,
    batches: st.SearchStrategy[int | None] | None = None,
) -> st.SearchStrategy[TensorRecipe]:
    """Draw the tensors of one call; `batches` replaces the first dimension where that may vary."""
    specs, ranges = _specs(spec)
    return st.builds(
        TensorRecipe,
        st.sampled_from(contents),
        batches if batches is not None and spec.dynamic_batch else st.none(),
        st.integers(0, 2**16 - 1),
        st.just(specs),
        st.just(ranges),
    )


def _specs(
    spec: TensorInput,
) -> tuple[tuple[tuple[tuple[int, ...], str], ...], tuple[tuple[float, float] | None, ...]]:
    """Return shapes and dtypes, and the stated ranges, of the tensors of one call."""
    specs = tuple((tuple(t.shape), str(t.dtype)) for t in spec.tensors)
    ranges = tuple(
        None if t.low is None or t.high is None else (t.low, t.high) for t in spec.tensors
    )
    return specs, ranges if any(ranges) else ()


def recipes(metadata: Metadata, *, max_pixels: int = 400_000) -> st.SearchStrategy[Any]:
    """Draw any finite input that the artifact says it accepts."""
    if isinstance(metadata.input, TensorInput):
        return tensor_recipes(metadata.input)
    preprocessing = metadata.preprocessing
    scale = max(unresized_size(preprocessing)) if preprocessing is not None else 256
    return image_recipes(metadata.input, max_pixels=max_pixels, scale=scale)


def usual_recipes(metadata: Metadata) -> tuple[Recipe, ...]:
    """Return two fixed inputs of the kind that a network is used on, to measure its rounding."""
    if isinstance(metadata.input, TensorInput):
        specs, ranges = _specs(metadata.input)
        return tuple(TensorRecipe("normal", None, seed, specs, ranges) for seed in (1, 2))
    spec, preprocessing = metadata.input, metadata.preprocessing
    height, width = (64, 64) if preprocessing is None else unresized_size(preprocessing)
    height, width = (min(max(n, spec.min_side), spec.max_side) for n in (height, width))
    return tuple(
        ImageRecipe(content, height, width, 128, 1, spec.channels) for content in ("blobs", "pink")
    )
