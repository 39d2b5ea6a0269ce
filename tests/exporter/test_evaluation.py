"""Accuracy on labeled images, for every recipe, float too: the `accuracy` column of the ledger."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from own_models import ConvNormNet
from PIL import Image
from torch import Tensor, nn

import exporter
from exporter.errors import ImageFolderError, UsageError
from exporter.image.read import Skipped
from exporter.report.report import read_report

COLORS = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}
HALVES = exporter.PreprocessingChoice(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


class BrightestChannel(nn.Module):
    """Knows colors by construction: its accuracy can be worked out by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[:, :, None, None])
            self.conv.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean((2, 3))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four images a class, one of which lies in the wrong folder: 9 of 12 are right."""
    rng = np.random.default_rng(0)
    names = list(COLORS)
    for index, (label, _) in enumerate(COLORS.items()):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(4):
            shown = label if number else names[(index + 1) % 3]
            # A slope, as photos have: neighboring pixels are alike.
            slope = np.linspace(-40, 40, 30)[None, :, None] + rng.integers(
                -2, 3, (20 + number, 1, 1)
            )
            pixels = (np.array(COLORS[shown]) + slope).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize("kind", ["image", "tensor"])
def test_float_exports_have_an_accuracy_too(kind: str, photos: Path, tmp_path: Path) -> None:
    artifact = exporter.export(
        BrightestChannel(),
        out=tmp_path / "out",
        input=kind,
        input_shape=(1, 3, 16, 16),
        preprocessing=HALVES,
        labels=list(COLORS),
        evaluate=photos,
    )
    assert {row.stage: row.accuracy for row in artifact.report.ledger} == dict.fromkeys(
        ["eager fp32", "prepared", "captured", "optimized", "saved + reloaded"], 9 / 12
    )
    assert artifact.metadata.ledger[-1].accuracy == 9 / 12


def test_int8_is_judged_at_every_stage(photos: Path, tmp_path: Path) -> None:
    """Files that cannot serve are in the report with the reason, and change no figure."""
    (photos / "red" / "broken\x1b[31m.png").write_bytes(b"no image")
    os.mkfifo(photos / "red" / "fifo.jpg")
    artifact = exporter.export(
        BrightestChannel(),
        out=tmp_path / "out",
        input_shape=(1, 3, 16, 16),
        preprocessing=HALVES,
        labels=list(COLORS),
        quantize="static",
        calibration=photos,
        evaluate=photos,
    )
    stages = [row.stage for row in artifact.report.ledger if row.accuracy is not None]
    assert "quantized" in stages
    assert len(stages) == 7
    assert artifact.report.ledger[-1].accuracy == 9 / 12
    first = (
        Skipped(name="red/broken\\x1b[31m.png", reason="broken"),
        Skipped(name="red/fifo.jpg", reason="special"),
    )
    assert {some.use: (some.count, some.first) for some in artifact.report.skipped} == {
        "evaluation": (2, first),
        "calibration": (2, first),
    }
    assert read_report(artifact.path) == artifact.report
    notes = [note.text for note in artifact.report.notes if note.kind == "skipped"]
    assert len(notes) == 2
    assert all("2 " in note and "fifo.jpg (not a regular file)" in note for note in notes)


def test_without_labels_or_with_other_folders_it_is_refused(photos: Path, tmp_path: Path) -> None:
    options = {
        "out": tmp_path / "out",
        "input_shape": (1, 3, 16, 16),
        "task": "image-classification",
        "evaluate": photos,
    }
    with pytest.raises(UsageError, match="--labels"):
        exporter.export(BrightestChannel(), preprocessing=HALVES, **options)
    with pytest.raises(ImageFolderError, match="match none"):
        exporter.export(
            BrightestChannel(), preprocessing=HALVES, labels=["cyan", "pink", "gray"], **options
        )
    with pytest.raises(UsageError, match="--mean"):
        exporter.export(
            ConvNormNet(),
            labels=[f"l{i}" for i in range(10)],
            **{**options, "input_shape": (1, 3, 32, 32)},
        )
    assert not (tmp_path / "out").exists()


def test_auto_judges_by_agreement_where_there_are_no_labels(photos: Path, tmp_path: Path) -> None:
    artifact = exporter.export(
        BrightestChannel(),
        out=tmp_path / "out",
        input_shape=(1, 3, 16, 16),
        preprocessing=HALVES,
        task="image-classification",
        quantize="auto",
        calibration=photos,
        evaluate=photos,
        verify=False,
    )
    assert all(row.accuracy is None for row in artifact.metadata.ledger)
    assert any("judged on 12 images" in note.text for note in artifact.report.notes)


def test_too_few_images_are_one_sentence_with_those_skipped(photos: Path, tmp_path: Path) -> None:
    left = sorted(photos.rglob("*.png"))[:6]
    for path in photos.rglob("*.png"):
        if path not in left:
            path.write_bytes(b"")
    with pytest.raises(UsageError, match=r"6 images are too few .*6 calibration images skipped: "):
        exporter.export(
            BrightestChannel(),
            out=tmp_path / "out",
            input_shape=(1, 3, 16, 16),
            preprocessing=HALVES,
            task="image-classification",
            quantize="auto",
            calibration=photos,
        )
    for path in left:
        path.write_bytes(b"")
    with pytest.raises(ImageFolderError, match=r"None of the 12 .*\(first: .*png \(empty\)\)"):
        exporter.export(
            BrightestChannel(),
            out=tmp_path / "out",
            input_shape=(1, 3, 16, 16),
            preprocessing=HALVES,
            quantize="static",
            calibration=photos,
        )
