"""In-graph preprocessing against Pillow and timm's own transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from exporter.errors import UsageError
from exporter.image.preprocess import Preprocess, measure_preprocessing
from exporter.image.samples import PHOTOS, photo
from runtime_check.artifact.metadata import Preprocessing


def spec(**changes: object) -> Preprocessing:
    values = {
        "input_size": (3, 224, 224),
        "interpolation": "bicubic",
        "crop_pct": 0.875,
        "crop_mode": "center",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "in_graph": True,
    }
    return Preprocessing.model_validate({**values, **changes})


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(3, 224, 224), (3, 96, 64)])
def test_photos_within_one_gray_level(mode: str, interpolation: str, size: object) -> None:
    chosen = spec(crop_mode=mode, interpolation=interpolation, input_size=size)
    module = torch.jit.script(Preprocess(chosen, min_side=1, max_side=5000).eval())
    photos = [photo(name) for name in PHOTOS]
    difference = measure_preprocessing(chosen, photos, preprocess=module)
    assert difference.images == len(PHOTOS)
    assert difference.max_levels < 1.01
    assert difference.differing < 2e-3


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(8, 400),
    width=st.integers(8, 400),
    crop_pct=st.sampled_from([0.8, 0.875, 0.95, 1.0]),
    mode=st.sampled_from(["center", "squash", "border"]),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
)
def test_any_size_like_pillow(
    height: int, width: int, crop_pct: float, mode: str, interpolation: str
) -> None:
    """Two levels at most for photo-like shapes, a few at extremes (4 in 700 drawn).

    Pillow 13 resizes some tall or squashed pictures height first, earlier ones never do; rounding
    to 8 bits in between makes the order visible.
    """
    assume(max(height, width) <= 32 * min(height, width))
    resized = Image.fromarray(photo("coffee")).resize((width, height))
    chosen = spec(
        crop_pct=crop_pct, crop_mode=mode, interpolation=interpolation, input_size=(3, 112, 112)
    )
    plain = mode == "center" and 0.5 < height / width < 2 and min(height, width) > 112
    assert measure_preprocessing(chosen, [np.asarray(resized)]).max_levels < (
        2.01 if plain else 8.01
    )


def test_strips_change_nothing() -> None:
    """A wide photo resized strip by strip equals the same resized whole."""
    module = Preprocess(spec(), min_side=1, max_side=9000)
    image = torch.from_numpy(photo("cat").copy()).repeat(1, 9, 1)
    whole = Preprocess(spec(), min_side=1, max_side=9000)
    whole.resample.strip_pixels = 1 << 40
    module.resample.strip_pixels = 5000
    assert torch.equal(module(image), whole(image))


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (torch.zeros(7, 300, 3, dtype=torch.uint8), "7 x 300 pixels"),
        (torch.zeros(20, 3000, 3, dtype=torch.uint8), "8..2000"),
        (torch.zeros(20, 900, 3, dtype=torch.uint8), "at most 32 times the other"),
        (torch.zeros(3, 64, 64, dtype=torch.uint8), "height x width x 3"),
        (torch.zeros(64, 64, dtype=torch.uint8), "height x width x 3"),
        (torch.zeros(64, 64, 3), "uint8"),
    ],
)
def test_bounds_are_checked_in_the_graph(image: torch.Tensor, says: str) -> None:
    module = torch.jit.script(Preprocess(spec(), min_side=8, max_side=2000).eval())
    with pytest.raises(torch.jit.Error, match=says):
        module(image)


def test_unknown_interpolation_is_refused() -> None:
    with pytest.raises(UsageError, match="--input tensor"):
        Preprocess(spec(interpolation="lanczos"), min_side=1, max_side=10)
    with pytest.raises(UsageError, match="2 channels"):
        Preprocess(spec(input_size=(2, 8, 8), in_graph=False), min_side=1, max_side=10)


def test_torch_sees_that_channels_are_innermost() -> None:
    """Else XNNPACK's convolutions, all of them, copy their inputs and outputs."""
    module = torch.jit.script(Preprocess(spec(), min_side=8, max_side=8192))
    image = torch.randint(0, 256, (300, 400, 3), dtype=torch.uint8)
    # A padded copy is laid out as torch takes its source to be; `is_contiguous` overlooks strides
    # of dimensions of one.
    padded = torch.nn.functional.pad(module(image), (0, 1))
    assert padded.is_contiguous(memory_format=torch.channels_last)
