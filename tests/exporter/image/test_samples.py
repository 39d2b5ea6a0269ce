"""The inputs every step is judged on: always the same, and telling."""

from __future__ import annotations

import numpy as np
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
