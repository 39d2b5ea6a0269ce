from __future__ import annotations

import random

import pytest
import torch

from exporter.errors import TrainingDataError
from exporter.image.batches import normalize
from exporter.image.preprocess import Preprocess
from exporter.quantize.augment import Augment
from runtime_check.artifact.metadata import Preprocessing


def preprocess(channels: int) -> Preprocess:
    spec = Preprocessing(
        input_size=(channels, 16, 20),
        interpolation="bicubic",
        crop_pct=1.0,
        crop_mode="center",
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        in_graph=True,
    )
    return Preprocess(spec, min_side=8, max_side=8192).eval()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_chances_follow_from_seed_epoch_and_image_alone(channels: int) -> None:
    made = preprocess(channels)
    pixels = torch.randint(0, 256, (3, channels, 16, 20), dtype=torch.uint8)
    augment = Augment("light", made, seed=0)
    before = random.getstate()
    first = augment(pixels, [7, 8, 9], epoch=1)
    assert random.getstate() == before
    assert first.shape == pixels.shape
    assert torch.equal(augment(pixels[1:], [8, 9], epoch=1), first[1:])
    assert not torch.equal(augment(pixels, [7, 8, 9], epoch=2), first)
    assert not torch.equal(Augment("light", made, seed=1)(pixels, [7, 8, 9], epoch=1), first)
    assert not torch.equal(first, normalize(made, pixels))


def test_a_flat_picture_stays_one_whatever_is_cut_out() -> None:
    made = preprocess(3)
    pixels = torch.full((4, 3, 16, 20), 51, dtype=torch.uint8)
    light = Augment("light", made, seed=0)(pixels, range(4), epoch=0)
    torch.testing.assert_close(light, torch.full_like(light, (51 / 255 - 0.5) / 0.25))
    assert not torch.equal(Augment("rand", made, seed=0)(pixels, range(4), epoch=0), light)


def test_colors_are_turned_where_there_are_some() -> None:
    with pytest.raises(TrainingDataError, match="not RGB"):
        Augment("rand", preprocess(1), seed=0)
