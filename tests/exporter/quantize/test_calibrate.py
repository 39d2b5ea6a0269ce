import numpy as np
import pytest
import torch
from PIL import Image

from exporter.errors import CalibrationError
from exporter.quantize.calibrate import (
    calibration_batches,
    check_calibration,
    neighbour_correlation,
)


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.resize((32, 32)))).permute(2, 0, 1).float() / 255


@pytest.fixture
def photos(tmp_path, photo_crops):
    for index, pixels in enumerate(photo_crops):
        Image.fromarray(pixels).save(tmp_path / f"{index:02}.png")
    return tmp_path


@pytest.fixture
def photo_crops(cat):
    whole = cat
    return [whole[i * 10 : i * 10 + 64, i * 20 : i * 20 + 64] for i in range(10)]


def test_folder_becomes_batches_and_progress_is_told(photos):
    seen = []
    found = calibration_batches(
        photos, to_tensor, batch_size=4, tell=lambda *step: seen.append(step)
    )
    assert found.images == 10
    assert [len(batch) for batch in found.batches] == [4, 4, 2]
    assert seen[-1] == ("reading calibration images", 10, 10)


def test_limit_takes_images_from_all_over_the_folder(photos):
    names = []

    def remember(image: Image.Image) -> torch.Tensor:
        names.append(float(to_tensor(image).mean()))
        return to_tensor(image)

    calibration_batches(photos, remember, limit=5)
    everything = []
    calibration_batches(
        photos, lambda i: (everything.append(float(to_tensor(i).mean())), to_tensor(i))[1]
    )
    assert names == everything[::2]


def test_broken_images_are_skipped_and_counted(photos):
    (photos / "broken.jpg").write_bytes(b"not an image")
    whole = (photos / "00.png").read_bytes()
    (photos / "truncated.png").write_bytes(whole[: len(whole) // 2])
    found = calibration_batches(photos, to_tensor)
    assert found.images == 10
    assert set(found.skipped) == {"broken.jpg", "truncated.png"}
    assert "2 unreadable" in str(found)


def test_only_broken_images_is_an_error(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"not an image")
    with pytest.raises(CalibrationError, match=r"None of the 1 .*broken\.jpg"):
        calibration_batches(tmp_path, to_tensor)


def test_empty_missing_and_file_instead_of_folder(tmp_path):
    with pytest.raises(CalibrationError, match="no image file"):
        calibration_batches(tmp_path, to_tensor)
    with pytest.raises(CalibrationError, match="no folder"):
        calibration_batches(tmp_path / "nowhere", to_tensor)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(CalibrationError, match="is a file"):
        calibration_batches(tmp_path / "a.png", to_tensor)


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
