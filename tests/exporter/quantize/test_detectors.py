"""int8 detectors: judged by the boxes that match, however many there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn

import exporter
from exporter.artifact import Artifact
from exporter.quantize.calibrate import calibrate
from exporter.quantize.place import simulate_int8
from exporter.quantize.sensitivity import measure_sensitivity, smallest_float_set
from exporter.recipes import RECIPES
from runtime_check.checking import check
from runtime_check.metrics import Metric
from runtime_check.options import CheckOptions
from runtime_check.runtimes.host import open_host

from .shapes import drawn, write

SIZE = 64
HALVES = exporter.PreprocessingChoice(mean=(0.5,) * 3, std=(0.5,) * 3, crop_mode="squash")


class Finder(nn.Module):
    """A box around each of 8 x 8 places, as large, as sure and of the class that it says."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU(),
        )  # fmt: skip
        self.scores, self.sides = nn.Conv2d(16, 2, 1), nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.features(x)
        rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
        middle = torch.stack([columns.flatten(), rows.flatten()], 1) * 8 + 4
        half = 6 + 6 * self.sides(features)[0].flatten(1).T.sigmoid()
        scores, labels = self.scores(features)[0].flatten(1).T.sigmoid().max(1)
        sure = scores > 0.5
        boxes = torch.cat([middle - half, middle + half], 1)[sure]
        kept = torchvision.ops.nms(boxes, scores[sure], 0.4)
        return {"boxes": boxes[kept], "scores": scores[sure][kept], "labels": labels[sure][kept]}


def finder() -> nn.Module:
    torch.manual_seed(1)
    net = Finder()
    with torch.no_grad():
        net.scores.weight.mul_(30)  # sure of some, as a trained one is, and of others not
        best = net.scores(net.features(2 * torch.rand(1, 3, SIZE, SIZE) - 1)).amax(1)
        net.scores.bias.sub_(best.median())
    return net.eval()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(drawn(24, seed=2)[0], tmp_path_factory.mktemp("shapes") / "seen")


def export(out: Path, photos: Path, **options: Any) -> Artifact:
    return exporter.export(
        f"{__name__}:finder",
        out=out,
        input_shape=(1, 3, SIZE, SIZE),
        preprocessing=HALVES,
        calibration=photos,
        **options,
    )


def matched(one: dict[str, Tensor], other: list[Tensor]) -> tuple[int, int]:
    """Boxes of both sides with one of their class that overlaps by a half, and all of them."""
    boxes, _, labels = other
    shares = torchvision.ops.box_iou(one["boxes"], boxes) >= 0.5
    shares &= one["labels"][:, None] == labels[None]
    return int(shares.any(0).sum() + shares.any(1).sum()), len(one["boxes"]) + len(boxes)


def test_a_static_detector_finds_what_the_float_one_finds(tmp_path: Path, photos: Path) -> None:
    artifact = export(tmp_path, photos, quantize="static")
    assert artifact.metadata.task == "object-detection"
    assert artifact.metadata.quantization.int8_layers == 5
    net, found, together, counts = finder(), 0, 0, []
    with open_host(artifact.path) as host:
        for photo in drawn(12, seed=5)[0]:
            pixels = np.array(Image.fromarray(photo).resize((SIZE, SIZE)))
            with torch.no_grad():
                wanted = net((torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5)
            given = [torch.from_numpy(array) for array in host.forward([pixels]).outputs]
            counts.append((len(wanted["boxes"]), len(given[0])))
            same, both = matched(wanted, given)
            found, together = found + same, together + both
    assert any(one != other for one, other in counts), "else their number is not put to the test"
    assert found / together > 0.8
    rows = {row.stage: row for row in artifact.metadata.ledger}
    share = rows["saved + reloaded"].boxes
    assert share is not None
    assert 0.8 < share <= 1.0
    options = CheckOptions(properties=("golden", "parity"), examples=4)
    report = check(artifact.path, options)
    assert report, str(report)


def test_auto_judges_detectors_by_matched_boxes(tmp_path: Path, photos: Path) -> None:
    budget = exporter.Budget(min_agreement=0.6)
    artifact = export(tmp_path / "a", photos, quantize="auto", budget=budget)
    assert artifact.metadata.quantization.method != "none"
    notes = " ".join(note.text for note in artifact.report.notes)
    assert "box agreement" in notes


BOXES = Metric(kind="boxes", outputs=3, output=0, scores=1, classes=2, rows=(0, 1, 2))


def spoilt() -> nn.Module:
    """`finder`, whose scores have a weight for what is never there: int8 sees no other."""
    net = finder()
    with torch.no_grad():
        net.features[4].weight[0], net.features[4].bias[0] = 0.0, -1.0
        net.scores.weight[:, 0] = 1e4
    return net


def pictures(count: int) -> list[Tensor]:
    return [
        (torch.from_numpy(np.array(Image.fromarray(photo).resize((SIZE, SIZE)))) / 255 - 0.5)
        .mul(2)
        .permute(2, 0, 1)[None]
        for photo in drawn(count, seed=2)[0]
    ]


def test_the_layer_that_moves_boxes_comes_first_and_is_kept_in_float() -> None:
    given = pictures(8)
    simulated = simulate_int8(
        spoilt(), RECIPES["static-xnnpack"], example=given[0], calibration=given
    )
    calibrate(simulated, given, metric=BOXES)
    rows = measure_sensitivity(simulated, given, metric=BOXES)
    assert len(rows) == 5
    assert rows[0].name == "scores"
    assert rows[0].alone_db < rows[1].alone_db - 3
    assert rows[0].without_db == max(row.without_db or 0.0 for row in rows)
    # By hand: all that this layer alone leaves of the boxes.
    simulated.simulate(["scores"])
    net, whole, boxes = spoilt(), 0.0, 0
    for x in given:
        with torch.no_grad():
            wanted, made = net(x), simulated.module(x)
        shares = torchvision.ops.box_iou(wanted["boxes"], made["boxes"])
        shares[wanted["labels"][:, None] != made["labels"][None]] = 0.0
        while shares.numel() and shares.max() >= 0.5:
            row, column = divmod(int(shares.argmax()), shares.shape[1])
            whole += 2 * float(shares[row, column])
            shares[row], shares[:, column] = 0.0, 0.0
        boxes += len(wanted["boxes"]) + len(made["boxes"])
    assert rows[0].alone_db == pytest.approx(-10 * np.log10(1 - whole / boxes), abs=0.01)
    least = 0.9
    found = smallest_float_set(
        simulated, rows, given, exporter.Budget(min_agreement=least), metric=BOXES
    )
    assert found.float_layers == ("scores",)
    assert found.accuracy.agreement is not None
    assert least <= found.accuracy.agreement
