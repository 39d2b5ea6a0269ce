"""Calibration of networks that are not of RGB photos: gray, RGBA, and inputs saved as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import exporter
from exporter.artifact import Artifact
from exporter.errors import CalibrationError, UsageError
from exporter.quantize import step
from exporter.quantize.apply import QuantizeImages
from exporter.quantize.describe import Quantized
from runtime_check.runtimes.host import open_host

from ...artifacts import write_photos

HALF: dict[int, exporter.PreprocessingChoice] = {
    n: exporter.PreprocessingChoice(
        mean=(0.5,) * n, std=(0.5,) * n, crop_mode="squash", interpolation="bilinear"
    )
    for n in (1, 4)
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def network(channels: int) -> nn.Module:
    torch.manual_seed(0)
    trunk = [nn.Conv2d(channels, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*trunk, nn.Linear(8, 3)).eval()


def saved(photos: Path, mode: str) -> np.ndarray:
    """The photos as a network of 28 x 28 pixels gets them, N,C,H,W: Pillow's, from -1 to 1."""
    rows = []
    for path in sorted(photos.glob("*.png")):
        with Image.open(path) as image:
            small = image.convert(mode).resize((28, 28), Image.Resampling.BILINEAR)
        rows.append(np.asarray(small, np.float32).reshape(28, 28, -1).transpose(2, 0, 1))
    return np.stack(rows) / 127.5 - 1


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What an export calibrates on, of all batches together, once it has run."""
    found: list[Tensor] = []
    plain = step.quantize

    def spy(module: nn.Module, recipe: Any, images: QuantizeImages, **options: Any) -> Quantized:
        found.append(torch.cat([*(images.calibration or ())]))
        return plain(module, recipe, images, **options)

    monkeypatch.setattr(step, "quantize", spy)
    return found


def export(folder: Path, channels: int, calibration: Path, **options: Any) -> Artifact:
    return exporter.export(
        network(channels),
        out=folder,
        input_shape=(1, channels, 28, 28),
        quantize="static",
        calibration=calibration,
        **options,
    )


@pytest.mark.parametrize("kind", ["image", "tensor"])
@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (4, "RGBA")])
def test_photos_are_converted_to_what_the_network_sees(
    channels: int, mode: str, kind: str, photos: Path, tmp_path: Path, given: list[Tensor]
) -> None:
    artifact = export(tmp_path, channels, photos, input=kind, preprocessing=HALF[channels])
    wanted = saved(photos, mode)
    assert given[0].shape == wanted.shape
    # One gray level is 2 / 255.
    assert float((given[0] - torch.from_numpy(wanted)).abs().max()) <= 1.01 * 2 / 255
    assert artifact.metadata.quantization.int8_layers == 2
    assert artifact.report.ledger[-1].sqnr_db > 10


def test_a_gray_file_of_int8_computes_what_eager_does(photos: Path, tmp_path: Path) -> None:
    artifact = export(tmp_path, 1, photos, preprocessing=HALF[1])
    pixels = np.asarray(Image.open(sorted(photos.iterdir())[0]).convert("L"))
    small = Image.fromarray(pixels).resize((28, 28), Image.Resampling.BILINEAR)
    x = torch.from_numpy(np.array(small, np.float32))[None, None] / 127.5 - 1
    with open_host(artifact.path) as session, torch.no_grad():
        (scores,) = session.forward([pixels[:, :, None].copy()]).outputs
        expected = network(1)(x)[0].numpy()
    assert scores.shape == (3,)
    spread = float(expected.max() - expected.min())
    assert float(np.abs(scores - expected).max()) < 0.1 * spread + 0.02


@pytest.mark.parametrize("name", ["x.npz", "x.npy"])
def test_saved_inputs_need_no_preprocessing(
    name: str, photos: Path, tmp_path: Path, given: list[Tensor]
) -> None:
    wanted = saved(photos, "L")
    folder = tmp_path / "inputs"
    folder.mkdir()
    if name == "x.npz":
        np.savez(folder / name, first=wanted[:9], rest=wanted[9:, 0])
    else:
        np.save(folder / name, wanted)
    artifact = export(tmp_path / "a", 1, folder)
    export(tmp_path / "b", 1, folder / name)
    assert [torch.equal(found, torch.from_numpy(wanted)) for found in given] == [True, True]
    assert any(n.text == "calibrated on 24 saved inputs" for n in artifact.report.notes)


def test_auto_judges_on_saved_inputs_held_out(photos: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", saved(photos, "L"))
    artifact = exporter.export(
        network(1),
        out=tmp_path / "out",
        input_shape=(1, 1, 28, 28),
        task="image-classification",
        quantize="auto",
        calibration=tmp_path / "x.npy",
        budget=exporter.Budget(min_agreement=0.0),
    )
    assert any("judged on 6 images held out" in note.text for note in artifact.report.notes)


def test_photos_without_preprocessing_say_what_to_give(photos: Path, tmp_path: Path) -> None:
    says = r"--mean \.5 --std \.5.*\.npy or \.npz files, each of shape 1,28,28"
    with pytest.raises(UsageError, match=says):
        export(tmp_path / "out", 1, photos)
    np.save(tmp_path / "x.npy", saved(photos, "RGB"))
    with pytest.raises(CalibrationError, match=r"x\.npy has the shape 24,3,28,28, and .* 1,28,28"):
        export(tmp_path / "out", 1, tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(9, 28, 28)))
    with pytest.raises(CalibrationError, match="look like noise"):
        export(tmp_path / "out", 1, tmp_path / "x.npy")
    assert not (tmp_path / "out").exists()


def test_a_network_of_one_image_gets_one_at_a_time(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes more without a word, and mixes them: its ranges would be those of no image."""

    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(self.conv(x).reshape(1, 4, -1).mean(2))
            return out

    given: list[QuantizeImages] = []
    plain = step.quantize

    def spy(module: nn.Module, recipe: Any, images: QuantizeImages, **options: Any) -> Quantized:
        given.append(images)
        return plain(module, recipe, images, **options)

    monkeypatch.setattr(step, "quantize", spy)
    np.save(tmp_path / "x.npy", saved(photos, "L"))
    exporter.export(
        Single().eval(),
        out=tmp_path / "out",
        input_shape=(1, 1, 28, 28),
        quantize="static",
        calibration=tmp_path / "x.npy",
    )
    assert [batch.shape for batch in given[0].calibration or ()] == [(1, 1, 28, 28)] * 24
