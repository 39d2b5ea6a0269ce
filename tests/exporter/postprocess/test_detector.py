"""torchvision's detectors become files that find what torchvision finds."""

from __future__ import annotations

from pathlib import Path

import known_models
import numpy as np
import pytest
import skimage.data
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.jit.mobile import _load_for_lite_interpreter
from torchvision.ops import nms as imported_nms

import exporter
from exporter.errors import ModelError
from exporter.image.samples import golden_images
from exporter.postprocess.detector import photo_of, plain_suppression
from runtime_check.artifact.archive import read_artifact
from runtime_check.checking import check
from runtime_check.options import CheckOptions
from runtime_check.reference.detectors import as_detector


def photos(size: int) -> list[np.ndarray]:
    """One of the network's own size, then a tall, a wide and a dark one, uint8 RGB."""
    cat, cup = skimage.data.chelsea(), skimage.data.coffee()
    dark = (skimage.data.astronaut() // 8).astype(np.uint8)
    square = np.array(Image.fromarray(cat).resize((size, size)))
    return [square, np.ascontiguousarray(cat[:, 100:330]), cup, dark]


def stretched(photo: np.ndarray, size: int) -> Tensor:
    """The whole photo at the network's size by Pillow, colors from 0 to 1, `[3, size, size]`."""
    resized = Image.fromarray(photo).resize((size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(resized).transpose(2, 0, 1) / np.float32(255))


def partnered(one: dict[str, Tensor], other: dict[str, Tensor], size: int) -> float:
    """The share of boxes, of both, that lie within a hundredth of the picture of one of a class."""
    near = (one["boxes"][:, None] - other["boxes"][None]).abs().amax(2) < 0.01 * size
    near &= one["labels"][:, None] == other["labels"][None]
    return float(torch.cat([near.any(1), near.any(0)]).double().mean())


LIMITS = {"ssdlite": (0.7, 0.55, 300), "fcos": (0.5, 0.6, 100), "retinanet": (0.3, 0.5, 300)}


@pytest.mark.parametrize(("name", "size"), [("ssdlite", 320), ("fcos", 160), ("retinanet", 160)])
def test_a_file_finds_what_torchvision_finds(name: str, size: int, tmp_path: Path) -> None:
    net = getattr(known_models, name)()
    artifact = exporter.export(net, out=tmp_path, input_shape=(1, 3, size, size))
    metadata = artifact.metadata
    assert metadata.task == "object-detection"
    assert [(t.name, t.holds, t.space, t.varies) for t in metadata.output.tensors] == [
        ("boxes", "boxes", "network", True),
        ("scores", "probabilities", None, True),
        ("labels", "class_index", None, True),
    ]
    limits = metadata.output.detection
    assert limits is not None
    assert (limits.score_threshold, limits.iou_threshold, limits.max_detections) == LIMITS[name]
    assert metadata.preprocessing is not None
    assert (metadata.preprocessing.crop_mode, metadata.preprocessing.mean) == ("squash", (0, 0, 0))
    file = _load_for_lite_interpreter(str(artifact.path))
    counts = set()
    for index, photo in enumerate(photos(size)):
        boxes, scores, labels = (t.numpy() for t in file(torch.from_numpy(photo)))
        with torch.no_grad():
            # As its user calls it, with torchvision's own suppression.
            (found,) = net([stretched(photo, size)])
        counts.add(len(boxes))
        assert scores.tolist() == sorted(scores.tolist(), reverse=True)
        if index == 0:  # nothing is resized: all boxes, to rounding
            np.testing.assert_allclose(scores, found["scores"].numpy(), atol=1e-4)
            same = np.abs(found["boxes"].numpy()[:, None] - boxes[None]).max(2) < 0.05
            same &= found["labels"].numpy()[:, None] == labels[None]
            assert same.any(1).all()
            assert same.any(0).all()
        else:  # a gray level here and there moves a box, or one across the threshold
            with torch.no_grad():
                moved = [net([stretched(photo, size) + d / 255])[0] for d in (-0.5, 0.5)]
            usual = min(partnered(found, other, size) for other in moved)
            given = dict(zip(found, map(torch.from_numpy, (boxes, scores, labels)), strict=True))
            assert partnered(found, given, size) >= max(0.6, usual - 0.1)
    assert len(counts) > 2, "else a frozen number of boxes would pass"
    assert min(counts) > 5


class Own(nn.Module):
    """Somebody's own detector: a box around each pixel, suppressed by an imported function."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
        low = torch.stack([columns.flatten(), rows.flatten()], 1)
        size = 1 + 4 * x[0, 1:].abs().flatten(1).T
        boxes, scores = torch.cat([low, low + size], 1), x[0, 0].flatten().sigmoid()
        bright = scores > 0.5
        boxes, scores = boxes[bright], scores[bright]
        kept = imported_nms(boxes, scores, 0.4)
        return {"boxes": boxes[kept], "scores": scores[kept]}


def test_anybodys_module_may_suppress_boxes(tmp_path: Path) -> None:
    artifact = exporter.export(Own(), out=tmp_path, input_shape=(1, 3, 12, 12))
    assert artifact.metadata.task == "object-detection"
    assert artifact.metadata.output.detection is None  # nobody said
    file = _load_for_lite_interpreter(str(artifact.path))
    generator, counts = torch.Generator().manual_seed(5), set()
    for _ in range(4):
        x = torch.randn(1, 3, 12, 12, generator=generator)
        wanted = Own()(x)
        boxes, scores = file(x)
        counts.add(len(boxes))
        torch.testing.assert_close(boxes, wanted["boxes"])
        torch.testing.assert_close(scores, wanted["scores"])
    assert len(counts) > 1
    assert min(counts) > 5


def test_the_checker_rebuilds_a_detector_and_calls_it_as_one(tmp_path: Path) -> None:
    artifact = exporter.export("known_models:ssdlite", out=tmp_path)
    options = CheckOptions(
        reference="known_models:ssdlite",
        properties=("golden", "parity", "preprocessing"),
        examples=4,
    )
    report = check(artifact.path, options)
    assert report, str(report)
    assert report.has_reference
    assert {result.name for result in report.results} == {"golden", "parity", "preprocessing"}


def test_samples_in_which_nothing_is_found(tmp_path: Path) -> None:
    """Of the inputs that a file is judged on some may hold no object at all."""
    net = known_models.ssdlite()
    with torch.no_grad():
        best = sorted(
            float(net([stretched(image, 320)])[0]["scores"].max())
            for image in golden_images().values()
        )
    net.score_thresh = (best[1] + best[2]) / 2
    artifact = exporter.export(net, out=tmp_path)
    expected = [case.expected[0].shape for case in read_artifact(artifact.path).golden.cases]
    assert sorted(shape[0] == 0 for shape in expected) == [False] * 3 + [True] * 2
    assert check(artifact.path, CheckOptions(properties=("golden", "determinism"), examples=4))


def test_a_picture_in_which_nothing_is_found(tmp_path: Path) -> None:
    """No score is above a threshold of one: a file for this cannot be proven, and is refused."""
    net = known_models.ssdlite()
    net.score_thresh = 1.0
    with pytest.raises(exporter.errors.ExportError, match="the same for all"):
        exporter.export(net, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_detectors_of_two_stages_are_refused_by_the_operator(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refused:
        exporter.export(known_models.faster_rcnn(), out=tmp_path, input_shape=(1, 3, 160, 160))
    message = str(refused.value)
    assert "FasterRCNN calls torchvision::roi_align, which no phone's runtime has" in message
    assert "Export a detector of one stage" in message
    assert not list(tmp_path.iterdir())


def test_torchvision_has_its_own_functions_back() -> None:
    theirs = torchvision.ops.nms, torchvision.ops.boxes.batched_nms
    replaced = []

    def stop() -> None:
        with plain_suppression():
            replaced.append(torchvision.ops.nms)
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        stop()
    assert replaced[0] is not theirs[0]
    assert (torchvision.ops.nms, torchvision.ops.boxes.batched_nms) == theirs


def test_how_a_detector_wants_photos() -> None:
    ssd = as_detector(known_models.ssdlite())
    own = photo_of(ssd, None)
    assert own is not None
    assert own.input_size == (3, 320, 320)
    told = photo_of(ssd, (1, 3, 200, 240))
    assert told is not None
    assert told.input_size == (3, 200, 240)
    assert photo_of(as_detector(known_models.fcos()), None) is None
    assert photo_of(nn.Conv2d(3, 3, 1), (1, 3, 8, 8)) is None
