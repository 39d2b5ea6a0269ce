"""The file as a callable: from an export, or opened again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from own_models import ConvNormNet
from PIL import Image

import exporter
from exporter.artifact import Artifact
from exporter.image.samples import photo
from runtime_check import UnreadableArtifact

SHAPE = (1, 3, 32, 32)


def test_a_loaded_file_is_what_was_exported(default_artifact: Artifact) -> None:
    loaded = exporter.load(str(default_artifact.path))
    assert loaded == default_artifact
    assert torch.equal(loaded(photo("cat")), default_artifact(photo("cat")))


def test_a_file_alone_is_enough(default_artifact: Artifact, tmp_path: Path) -> None:
    alone = tmp_path / "alone.ptl"
    alone.write_bytes(default_artifact.path.read_bytes())
    loaded = exporter.load(alone)
    assert loaded.report is None
    assert loaded.metadata == default_artifact.metadata
    assert loaded(photo("cat")).shape == (1000,)


def test_a_report_of_other_bytes_is_not_this_files(
    default_artifact: Artifact, tmp_path: Path
) -> None:
    file = tmp_path / "x.ptl"
    file.write_bytes(default_artifact.path.read_bytes())
    report = default_artifact.path.with_suffix(".report.json").read_text()
    beside = tmp_path / "x.report.json"
    beside.write_text(report)
    assert exporter.load(file).report == default_artifact.report
    beside.write_text(json.dumps({**json.loads(report), "file_sha256": "0" * 64}))
    assert exporter.load(file).report is None
    beside.write_text("{}")
    assert exporter.load(file).report is None


def test_what_is_no_artifact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableArtifact, match="no file"):
        exporter.load(tmp_path / "nothing.ptl")


def test_tensors_arrays_and_photos_give_the_same(default_artifact: Artifact) -> None:
    pixels = photo("cat")  # read-only
    expected = default_artifact(torch.from_numpy(pixels.copy()))
    assert torch.equal(default_artifact(pixels), expected)
    assert torch.equal(default_artifact(Image.fromarray(pixels)), expected)


def test_inputs_that_the_metadata_does_not_allow(
    default_artifact: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="one image, not 2"):
        default_artifact(photo("cat"), photo("cat"))
    artifact = exporter.export(ConvNormNet(), out=tmp_path, input_shape=SHAPE)
    assert artifact(np.zeros((3, *SHAPE[1:]), np.float32)).shape == (3, 10)
    for wrong in (torch.zeros(1, 4, 32, 32), torch.zeros(SHAPE).double()):
        with pytest.raises(ValueError, match="this artifact takes"):
            artifact(wrong)


def test_two_models_in_one_folder_keep_their_reports(tmp_path: Path) -> None:
    """Both were written to `report.json` once: the second export overwrote the first's."""
    exported = [
        exporter.export(ConvNormNet(), out=tmp_path, input_shape=SHAPE, name=name)
        for name in ("first", "second")
    ]
    for artifact in exported:
        assert artifact.report is not None
        assert exporter.load(artifact.path).report == artifact.report
        page = artifact.path.with_suffix(".report.html").read_text(encoding="utf-8")
        assert artifact.report.file_sha256 in page
