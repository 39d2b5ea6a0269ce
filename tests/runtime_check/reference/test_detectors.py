"""A detector takes one picture and gives what torchvision finds in it."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn
from torchvision.models.detection import (
    fasterrcnn_mobilenet_v3_large_320_fpn,
    ssdlite320_mobilenet_v3_large,
)

from runtime_check.artifact.output import Detection
from runtime_check.reference.build import build
from runtime_check.reference.detectors import Detector, as_detector, detection_of


def small() -> nn.Module:
    torch.manual_seed(0)
    net: nn.Module = ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3, score_thresh=0.3, topk_candidates=20
    )
    return net.eval()


def test_one_picture_in_and_its_boxes_out() -> None:
    net = small()
    picture = torch.rand(1, 3, 320, 320, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = as_detector(net)(picture)
        (wanted,) = net([picture[0]])
    assert list(found) == ["boxes", "scores", "labels"]
    assert len(found["boxes"]) > 3
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_other_modules_are_as_they_were() -> None:
    net = nn.Linear(2, 2)
    assert as_detector(net) is net


def test_a_built_detector_keeps_its_weights_and_says_so() -> None:
    built = build(small())
    assert isinstance(built.module, Detector)
    assert built.provenance.model.endswith(":SSD")
    assert "SSD is called with one picture at a time" in built.sentences()


def test_the_limits_that_decide_which_boxes_there_are() -> None:
    found = detection_of(as_detector(small()))
    assert found == Detection(score_threshold=0.3, iou_threshold=0.55, max_detections=300)
    assert detection_of(small()) is None  # called as its author has it, with several pictures
    assert detection_of(nn.Linear(2, 2)) is None
    two_stages = fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
    assert detection_of(as_detector(two_stages)) is None


def test_torchvision_is_not_imported_to_ask() -> None:
    code = (
        "import sys; from torch import nn; from runtime_check.reference.detectors import "
        "is_detector; assert not is_detector(nn.Linear(1, 1)); "
        "assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
