"""Golden vectors fit into the file: few megabytes, whatever the network takes and gives."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import exporter
from exporter.errors import UsageError
from runtime_check.artifact.archive import read_artifact


class Maps(nn.Module):
    """Scores of 21 classes for every pixel."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.outer = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 21, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(torch.relu(self.inner(x)))


class Pooled(nn.Module):
    """Five numbers for a large picture: next to nothing beside it in the file."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Conv2d(3, 5, 8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.head(x)).mean((2, 3))


def golden_bytes(path: Path) -> int:
    """Bytes of the golden vectors as they lie in the zip."""
    with zipfile.ZipFile(path) as archive:
        return archive.getinfo("archive/extra/golden.json").compress_size


def test_a_large_map_adds_two_megabytes_at_most(tmp_path: Path) -> None:
    """Two inputs of 512 x 512 pixels, each unlike the other, and a good part of 11 M scores."""
    module = Maps().eval()
    artifact = exporter.export(module, out=tmp_path, input_shape=(1, 3, 512, 512), verify=False)
    assert artifact.path.stat().st_size < 2_000_000 + 4 * 500
    golden = read_artifact(artifact.path).golden
    first, second = (case.inputs[0].array() for case in golden.cases)
    for given in (first, second):
        assert abs(given.std() - 1) < 0.1
        assert len(np.unique(given)) > 12
        assert np.mean(np.diff(given.ravel()) != 0) > 0.7
    assert np.mean(first != second) > 0.7
    for case in golden.cases:
        with torch.no_grad():
            made = module(torch.from_numpy(case.inputs[0].array().copy())).numpy()
        (held,) = case.expected
        assert len(held.array()) > 50_000
        assert np.array_equal(held.of_same_places(made), held.array())


@pytest.mark.parametrize("side", [512, 1024])
def test_a_file_of_little_else_is_no_zip_bomb_to_its_readers(side: int, tmp_path: Path) -> None:
    """All readers refuse what unpacks to twenty times its size."""
    artifact = exporter.export(Pooled(), out=tmp_path, input_shape=(1, 3, side, side), verify=False)
    assert golden_bytes(artifact.path) < 2_000_000
    assert read_artifact(artifact.path).golden.cases


def test_an_example_is_kept_though_it_fills_the_room_alone(tmp_path: Path) -> None:
    example = np.random.default_rng(0).normal(size=(1, 3, 512, 512)).astype(np.float32)
    np.savez(tmp_path / "inputs.npz", x=example)
    artifact = exporter.export(
        Pooled(), out=tmp_path / "out", example=tmp_path / "inputs.npz", verify=False
    )
    (case,) = read_artifact(artifact.path).golden.cases
    assert case.name == "example"
    assert np.array_equal(case.inputs[0].array(), example)
    stored = f"{golden_bytes(artifact.path) / 1e6:.1f} MB"
    assert golden_bytes(artifact.path) > 2_000_000
    said = [str(note) for note in artifact.report.notes if note.kind == "golden"]
    assert said == [f"the golden input takes {stored} of the file: phones replay all of it"]


def test_an_input_that_no_reader_would_take_is_refused_before_the_work(tmp_path: Path) -> None:
    """2048 x 2048 pixels of three floats are 50 MB: 67 MB as base64, of a record of 67 at most."""
    with pytest.raises(UsageError, match=r"1,3,2048,2048 takes 50 MB, and .* of 48 MB at most"):
        exporter.export(Pooled(), out=tmp_path, input_shape=(1, 3, 2048, 2048))
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_the_largest_input_that_is_taken_is_read_again(tmp_path: Path) -> None:
    largest = (1, 3, 1999, 1999)
    artifact = exporter.export(Pooled(), out=tmp_path, input_shape=largest, verify=False)
    (case,) = read_artifact(artifact.path).golden.cases
    assert case.inputs[0].array().shape == largest


def test_small_inputs_are_held_as_they_were_drawn(tmp_path: Path) -> None:
    artifact = exporter.export(Pooled(), out=tmp_path, input_shape=(1, 3, 64, 64), verify=False)
    for case in read_artifact(artifact.path).golden.cases:
        assert len(np.unique(case.inputs[0].array())) > 10_000
