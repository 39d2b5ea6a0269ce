"""Judging a file: sums over images, worked out by hand, and a real file on real folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import exporter
from exporter.compare.judge import Tally, from_ledger, judge, within
from exporter.errors import ImageFolderError, UsageError
from exporter.options import ExportOptions, PreprocessingChoice
from exporter.plan import Plan, make_plan
from exporter.source import source_of
from runtime_check.artifact.metadata import LedgerRow
from runtime_check.metrics import CLASSES, Metric

from .trials import write_pictures

LABELS = ("red", "green", "blue")
COLORS = PreprocessingChoice(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def tensor(*values: float) -> list[torch.Tensor]:
    return [torch.tensor(values)]


def test_accuracy_and_agreement_are_counted_apart() -> None:
    tally = Tally(CLASSES)
    tally.add(tensor(3.0, 0.0), tensor(3.0, 0.0), 0)  # both right
    tally.add(tensor(3.0, 0.0), tensor(0.0, 3.0), 1)  # the file alone is right
    tally.add(tensor(0.0, 3.0), tensor(0.0, 3.0), 0)  # both wrong, and they agree
    tally.add(tensor(0.0, 4.0), tensor(4.0, 0.0), 1)  # float32 alone is right
    found = tally.quality()
    assert (found.accuracy, found.float_accuracy) == (0.5, 0.5)
    assert found.agreement == 0.5
    assert found.metric == "top-1 agreement"
    assert (found.images, found.max_abs) == (4, 4.0)
    # 9 + 9 + 9 + 16 of signal; 9 + 9 and 16 + 16 of noise.
    assert found.sqnr_db == pytest.approx(10 * np.log10(43 / 50))


def test_the_same_file_has_no_noise_to_measure() -> None:
    tally = Tally(CLASSES)
    tally.add(tensor(3.0, 0.0), tensor(3.0, 0.0), None)
    found = tally.quality()
    assert (found.agreement, found.sqnr_db, found.max_abs) == (1.0, None, 0.0)
    assert found.accuracy is None


def test_embeddings_are_worth_their_smallest_cosine() -> None:
    tally = Tally(Metric(kind="vectors"))
    tally.add(tensor(1.0, 0.0), tensor(1.0, 0.0), None)
    tally.add(tensor(1.0, 0.0), tensor(1.0, 1.0), None)
    assert tally.quality().agreement == pytest.approx(2**-0.5)


def test_boxes_of_another_number_have_no_noise() -> None:
    tally = Tally(Metric(kind="boxes"))
    one, two = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[0.0, 0, 4, 4], [8, 8, 9, 9]])
    tally.add([one], [two], None)
    found = tally.quality()
    assert found.agreement == pytest.approx(2 / 3)
    assert (found.sqnr_db, found.max_abs) == (None, None)


def test_photos_above_what_the_file_takes_are_shrunk() -> None:
    photo = np.zeros((40, 80, 3), np.uint8)
    assert within(photo, 80) is photo
    assert within(photo, 20).shape == (10, 20, 3)
    assert within(np.zeros((40, 80, 1), np.uint8), 20).shape == (10, 20, 1)


def test_golden_inputs_are_said_to_be_few() -> None:
    row = LedgerRow(stage="saved + reloaded", inputs=5, top1=0.8, sqnr_db=20.0, max_abs=0.5)
    found = from_ledger(row, CLASSES)
    assert (found.on, found.images, found.agreement) == ("golden inputs", 5, 0.8)


class Color(nn.Module):
    """Says which color there is most of."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 8 * self.scale * x.mean((2, 3))


@pytest.fixture(scope="module")
def colors(tmp_path_factory: pytest.TempPathFactory) -> tuple[exporter.Artifact, Plan]:
    out = tmp_path_factory.mktemp("colors")
    options = ExportOptions(
        out=out, input_shape=(1, 3, 16, 16), labels=LABELS, preprocessing=COLORS, name="colors"
    )
    artifact = exporter.export(
        Color(), out=out, input_shape=(1, 3, 16, 16), labels=LABELS, preprocessing=COLORS,
        name="colors",
    )  # fmt: skip
    return artifact, make_plan(source_of(Color(), options), options)


def paint(path: Path, color: tuple[int, int, int]) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 20), color).save(path)


def test_class_folders_give_accuracy(
    colors: tuple[exporter.Artifact, Plan], tmp_path: Path
) -> None:
    paint(tmp_path / "red" / "a.png", (255, 0, 0))
    paint(tmp_path / "red" / "b.png", (0, 255, 0))  # in the wrong folder
    paint(tmp_path / "blue" / "c.png", (0, 10, 255))
    paint(tmp_path / "green" / "d.png", (10, 200, 0))
    found = judge(*colors, tmp_path)
    assert (found.images, found.accuracy, found.float_accuracy) == (4, 0.75, 0.75)
    assert found.agreement == 1.0


def test_plain_images_give_agreement(
    colors: tuple[exporter.Artifact, Plan], tmp_path: Path
) -> None:
    found = judge(*colors, write_pictures(tmp_path / "plain", 3))
    assert (found.images, found.accuracy, found.agreement) == (3, None, 1.0)


def test_folders_that_match_no_label_are_refused(
    colors: tuple[exporter.Artifact, Plan], tmp_path: Path
) -> None:
    paint(tmp_path / "yellow" / "a.png", (255, 255, 0))
    with pytest.raises(ImageFolderError, match="yellow"):
        judge(*colors, tmp_path)


def test_a_model_that_says_nothing_of_images_is_refused(tmp_path: Path) -> None:
    options = ExportOptions(out=tmp_path, input_shape=(1, 3, 16, 16), name="bare")
    artifact = exporter.export(Color(), out=tmp_path, input_shape=(1, 3, 16, 16), name="bare")
    plan = make_plan(source_of(Color(), options), options)
    with pytest.raises(UsageError, match="does not say how it wants images"):
        judge(artifact, plan, write_pictures(tmp_path / "plain", 1))
