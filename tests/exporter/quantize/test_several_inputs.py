"""int8 for networks of several inputs, calibrated on saved arrays for each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import exporter
from exporter.artifact import Artifact
from exporter.errors import CalibrationError, UsageError
from exporter.recipes import QuantizeRecipe
from runtime_check.runtimes.host import open_host

SHAPES = {"image": (1, 3, 16, 16), "pose": (1, 4)}


class Two(nn.Module):
    """A picture and four numbers that go with it."""

    def __init__(self, *, single: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.single = single
        self.conv, self.fc, self.head = nn.Conv2d(3, 8, 3), nn.Linear(4, 8), nn.Linear(8, 5)

    def forward(self, image: Tensor, pose: Tensor) -> Tensor:
        y = torch.relu(self.conv(image)).mean((2, 3)) + self.fc(pose)
        if self.single:
            y = y.reshape(1, 8)  # a batch of two is an error
        out: Tensor = self.head(torch.relu(y))
        return out


def drawn(count: int, seed: int) -> dict[str, np.ndarray]:
    """Smooth pictures, and numbers from -1 to 1, both of which are reached."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-1, 1, (count, 3, 4, 4)).astype(np.float32)
    pose = rng.uniform(-1, 1, (count, 4)).astype(np.float32)
    pose[0] = [-1, 1, -1, 1]
    # Not in the order of forward's parameters.
    return {"pose": pose, "image": coarse.repeat(4, axis=2).repeat(4, axis=3)}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    np.savez(tmp_path / "inputs.npz", **drawn(64, seed=0))
    return tmp_path / "inputs.npz"


def export(model: nn.Module, out: Path, **options: Any) -> Artifact:
    asked: dict[str, Any] = {"quantize": "static", **options}
    return exporter.export(model.eval(), out=out, input_shape=SHAPES, **asked)


def both(model: nn.Module, artifact: Artifact, given: dict[str, np.ndarray]) -> tuple[Any, Any]:
    """What the float module and the saved file give, call by call."""
    wanted, got = [], []
    with open_host(artifact.path) as session, torch.no_grad():
        for image, pose in zip(given["image"], given["pose"], strict=True):
            one = [image[None].copy(), pose[None].copy()]
            wanted.append(model(*map(torch.from_numpy, one)).numpy())
            got.append(session.forward(one).outputs[0].reshape(1, 5))
    return np.stack(wanted), np.stack(got)


def decibels(wanted: np.ndarray, got: np.ndarray) -> float:
    return 10 * float(np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()))


@pytest.mark.parametrize("single", [False, True])
def test_static_int8_of_two_inputs_is_near_the_float_module(
    single: bool, saved: Path, tmp_path: Path
) -> None:
    """Also where the network takes one image alone, and in a graph: no batch of two is needed."""
    model = Two(single=single)
    artifact = export(model, tmp_path / "out", calibration=saved)
    assert artifact.metadata.quantization.int8_layers == 3
    assert artifact.metadata.quantization.mode == "fx"
    assert any("calibrated on 64 sets of saved" in note.text for note in artifact.report.notes)
    wanted, got = both(model, artifact, drawn(16, seed=1))
    assert 25 < decibels(wanted, got) < 80


def test_ranges_are_those_of_the_arrays_by_their_names(saved: Path, tmp_path: Path) -> None:
    """`pose` was -1 to 1, so 3 is cut to 1: worked out here from the float module."""
    recipe = QuantizeRecipe.named("static", observer="minmax")
    model = Two()
    artifact = export(model, tmp_path / "out", quantize=recipe, calibration=saved)
    given = drawn(8, seed=2)
    far, cut = (
        dict(given, pose=3 * np.sign(given["pose"])),
        dict(given, pose=np.sign(given["pose"])),
    )
    beyond, _ = both(model, artifact, far)
    wanted, _ = both(model, artifact, cut)
    _, got = both(model, artifact, far)
    assert decibels(wanted, got) > 20
    assert decibels(beyond, got) < 15


def test_dynamic_int8_of_two_inputs_needs_no_arrays(tmp_path: Path) -> None:
    model = Two()
    artifact = export(model, tmp_path / "out", quantize="dynamic")
    assert artifact.metadata.quantization.int8_layers == 2
    wanted, got = both(model, artifact, drawn(8, seed=1))
    assert 30 < decibels(wanted, got) < 90


def test_auto_judges_on_arrays_that_were_held_out(saved: Path, tmp_path: Path) -> None:
    model = Two()
    artifact = export(model, tmp_path / "out", quantize="auto", calibration=saved)
    text = next(n.text for n in artifact.report.notes if n.text.startswith("| recipe |"))
    cells = next(line.split("|") for line in text.splitlines() if "chosen" in line)
    held_out = {name: array[::4] for name, array in drawn(64, seed=0).items()}
    wanted, got = both(model, artifact, held_out)
    assert float(cells[3]) == pytest.approx(decibels(wanted, got), abs=0.3)
    assert any("judged on 16 sets of inputs" in note.text for note in artifact.report.notes)


def test_noise_by_name_takes_no_arrays(tmp_path: Path) -> None:
    artifact = export(Two(), tmp_path / "out", calibration="noise")
    assert artifact.metadata.quantization.int8_layers == 3
    assert any("CALIBRATED ON NOISE" in note.text for note in artifact.report.notes)


def test_photos_alone_are_refused_with_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")
    says = r"holds no \.npz file.*image 1,3,16,16 \(float32\), pose 1,4 \(float32\).*numpy\.savez"
    with pytest.raises(CalibrationError, match=says):
        export(Two(), tmp_path / "out", calibration=tmp_path / "photos")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"quantize": "qat", "train": Path("x")}, r"--train takes photos.*\(image, pose\)"),
        ({"quantize": "auto", "evaluate": Path("x")}, r"--evaluate takes photos"),
    ],
)
def test_folders_of_photos_are_refused_by_their_option(
    options: dict[str, Any], says: str, saved: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=says):
        export(Two(), tmp_path / "out", calibration=saved, **options)
