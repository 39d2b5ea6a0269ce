"""The resize as matrix products, against Pillow's own, value by value."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from exporter.image.preprocess import Preprocess
from exporter.image.resample import Resample
from exporter.image.samples import photo
from runtime_check.artifact.metadata import Preprocessing

METHODS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@pytest.mark.parametrize("interpolation", METHODS)
@pytest.mark.parametrize("shape", [(64, 64), (97, 131), (20, 50)])
def test_every_value_is_within_a_level_of_pillow(
    interpolation: str, shape: tuple[int, int]
) -> None:
    """Noise, the hardest there is: a float resize in one go is up to 20 levels off on it."""
    size = 32
    spec = Preprocessing(
        input_size=(3, size, size),
        interpolation=interpolation,
        crop_pct=1.0,
        crop_mode="squash",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        in_graph=True,
    )
    noise = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(noise).resize((size, size), METHODS[interpolation]))
    with torch.no_grad():
        ours = Preprocess(spec, min_side=8, max_side=256)(torch.from_numpy(noise)) * 255
    difference = np.abs(ours[0].permute(1, 2, 0).numpy() - pillow)
    assert difference.max() <= 1.01
    assert (difference > 0.5).mean() < 0.01


drawn = settings(max_examples=40, deadline=None)
sizes = st.tuples(st.integers(8, 700), st.integers(8, 700)).filter(
    lambda size: max(size) <= 32 * min(size)
)


@drawn
@given(size=sizes, target=sizes, bicubic=st.booleans(), seed=st.integers(0, 2**32))
def test_exact_whatever_the_order_of_summation(
    size: tuple[int, int], target: tuple[int, int], bicubic: bool, seed: int
) -> None:
    """Noise in float64, value by value: the same, so no machine can round otherwise."""
    (rows, columns), (height, width) = size, target
    resample = Resample(bicubic=bicubic)
    noise = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)

    def dense(size: int, target: int) -> np.ndarray:
        starts, reach = resample.starts(size, target, 0, target)
        blocks = resample.weights(starts, reach, size, target, 0, target).numpy()
        matrix = np.zeros((target, size))
        for output in range(target):
            block, row = divmod(output, resample.block)
            matrix[output, starts[block] : starts[block] + reach] = blocks[block, row]
        return matrix

    across, down = dense(columns, width), dense(rows, height)
    for matrix in (across, down):
        assert np.array_equal(matrix.sum(1), np.ones(len(matrix)))
        assert np.array_equal(matrix * 2**15, np.round(matrix * 2**15))
        # What keeps every partial sum within float32's 24 bits.
        assert np.abs(matrix).sum(1).max() * 255 < 2**9
    narrow = np.clip(np.floor(np.einsum("wx,hxc->hwc", across, noise) + 0.5), 0, 255)
    wanted = np.clip(np.floor(np.einsum("hy,ywc->hwc", down, narrow) + 0.5), 0, 255)
    image = torch.from_numpy(noise)
    found = resample(image, height, width, 0, 0, height, width)
    assert np.array_equal(found.numpy(), wanted)


@drawn
@given(size=sizes, target=sizes, bicubic=st.booleans(), data=st.data())
def test_a_window_is_a_part_of_the_whole(
    size: tuple[int, int], target: tuple[int, int], bicubic: bool, data: st.DataObject
) -> None:
    """Rows and columns that nothing in the window is made of are left out, and no others."""
    (rows, columns), (height, width) = size, target
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    tall = data.draw(st.integers(1, height - top))
    wide = data.draw(st.integers(1, width - left))
    resample = Resample(bicubic=bicubic)
    image = torch.from_numpy(photo("cat").copy()).repeat(3, 2, 1)[:rows, :columns]
    whole = resample(image, height, width, 0, 0, height, width)
    part = resample(image, height, width, top, left, tall, wide)
    assert torch.equal(part, whole[top : top + tall, left : left + wide])
