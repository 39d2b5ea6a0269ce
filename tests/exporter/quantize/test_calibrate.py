import numpy as np
import pytest
import torch
from PIL import Image

from exporter.errors import CalibrationError
from exporter.quantize.calibrate import check_calibration, neighbour_correlation


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.resize((32, 32)))).permute(2, 0, 1).float() / 255


@pytest.fixture
def photo_crops(cat):
    whole = cat
    return [whole[i * 10 : i * 10 + 64, i * 20 : i * 20 + 64] for i in range(10)]


def test_noise_is_refused_unless_asked_for_by_name():
    noise = [torch.rand(4, 3, 32, 32)]
    with pytest.raises(CalibrationError, match="noise"):
        check_calibration(noise)
    assert check_calibration(noise, allow_noise=True) == 4


def test_photos_and_real_drawings_are_no_noise(photo_crops, fashion):
    batch = torch.stack([to_tensor(Image.fromarray(crop)) for crop in photo_crops])
    assert neighbour_correlation(batch) > 0.8
    assert check_calibration(fashion.calibration) == 64


@pytest.mark.parametrize(
    ("batches", "word"),
    [
        ([], "no calibration image"),
        ([torch.full((2, 3, 8, 8), float("nan"))], "NaN"),
        ([torch.ones(2, 3, 8, 8)], "flat colour"),
    ],
)
def test_nothing_nan_and_flat_are_refused(batches, word):
    with pytest.raises(CalibrationError, match=word):
        check_calibration(batches)
