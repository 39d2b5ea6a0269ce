"""The inputs every step is judged on: always the same, and telling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from exporter.image.samples import PHOTOS, golden_images, image_samples, photo, tensor_samples
from runtime_check.artifact.metadata import InputTensor


def test_the_same_samples_every_time() -> None:
    for one, two in zip(image_samples(), image_samples(), strict=True):
        assert one.name == two.name
        assert torch.equal(one.inputs[0], two.inputs[0])
    takes = [InputTensor(name="x", shape=[1, 3, 4, 4])]
    for one, two in zip(tensor_samples(takes), tensor_samples(takes), strict=True):
        assert torch.equal(one.inputs[0], two.inputs[0])


def test_images_are_small_of_odd_sizes_and_not_all_photos() -> None:
    images = golden_images()
    assert set(PHOTOS) < set(images)
    assert all(
        i.dtype == np.uint8 and i.shape[2] == 3 and max(i.shape) <= 144 for i in images.values()
    )
    assert len({i.shape for i in images.values()}) == len(images)
    # Noise shows rounding errors that photos hide: its neighbors are not alike.
    steps = {name: np.abs(np.diff(i.astype(float), axis=1)).mean() for name, i in images.items()}
    assert steps["noise"] > 3 * steps["cat"]


def test_tensors_hold_zeros_noise_and_every_value_between() -> None:
    samples = {
        s.name: s.inputs[0] for s in tensor_samples([InputTensor(name="x", shape=[2, 3, 4, 4])])
    }
    assert not samples["zeros"].any()
    assert float(samples["ramp"].min()) == -2
    assert float(samples["ramp"].max()) == 2
    assert abs(float(samples["normal-0"].std()) - 1) < 0.3
    assert not torch.equal(samples["normal-0"], samples["normal-1"])


def test_photos_cannot_be_written_to() -> None:
    assert not photo("cat").flags.writeable


@pytest.mark.parametrize(("low", "high"), [(None, None), (-3.0, 5.0)])
def test_noise_of_large_inputs_takes_few_values_all_over(low: Any, high: Any) -> None:
    """As drawn it would not pack; each picture, row and column still differs from its neighbor."""
    takes = [InputTensor(name="x", shape=[1, 3, 400, 401], low=low, high=high)]
    samples = {s.name: s.inputs[0].numpy() for s in tensor_samples(takes)}
    noise = samples["normal-0"]
    assert 8 <= len(np.unique(noise)) <= 25
    assert noise.min() >= (-8 if low is None else low)
    assert noise.max() <= (8 if high is None else high)
    assert not np.signbit(noise[noise == 0]).any()
    for axis in (1, 2, 3):
        assert np.mean(np.diff(noise, axis=axis) != 0) > 0.7
    assert np.mean(noise != samples["normal-1"]) > 0.7


def test_noise_of_huge_inputs_is_shared_by_neighbors() -> None:
    takes = [InputTensor(name="x", shape=[1, 1, 1025, 1025])]
    noise = tensor_samples(takes)[1].inputs[0].numpy()
    assert noise.shape == (1, 1, 1025, 1025)
    flat = noise.ravel()
    assert np.array_equal(flat[0:-1:2], flat[1::2])
    assert np.mean(flat[1:-1:2] != flat[2::2]) > 0.7
