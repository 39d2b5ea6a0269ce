"""Call torchvision's detectors as their users do: one convention for the exporter and the checker.

They take a list of pictures and return a list of dicts. A file takes one picture, and gives the
boxes, scores and labels that are found in it.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn

from ..artifact.output import Detection

# The classes of torchvision.models.detection. `GeneralizedRCNN` is the base of Faster R-CNN, Mask
# R-CNN and Keypoint R-CNN.
_CLASSES = (
    ("ssd", "SSD"),
    ("fcos", "FCOS"),
    ("retinanet", "RetinaNet"),
    ("generalized_rcnn", "GeneralizedRCNN"),
)


class Detector(nn.Module):
    """One of torchvision's detectors, which takes one picture and gives what is found in it.

    `forward` takes float32 `[1, 3, H, W]` from 0 to 1, and returns a dict: `boxes` `[K, 4]` as
    x1, y1, x2, y2 in pixels of that picture, `scores` `[K]`, `labels` int64 `[K]`, and what else
    the detector gives. K is another one for each picture.
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Find objects in the one picture."""
        # Scripted, it returns its losses too. torch's annotations leave the function out.
        if torch.jit.is_scripting():  # type: ignore[attr-defined]  # torch exports it without saying so
            _, found = self.detector([image[0]])
        else:
            found = self.detector([image[0]])
        first: dict[str, Tensor] = found[0]
        return first


def as_detector(module: nn.Module) -> nn.Module:
    """Wrap one of torchvision's detectors as a `Detector`; return any other module as it is."""
    return Detector(module) if is_detector(module) else module


def is_detector(module: nn.Module) -> bool:
    """Whether `module` is one of torchvision's detectors, or of a class made from one."""
    # Somebody who has such a module has imported its class: nothing is imported to ask.
    for name, class_name in _CLASSES:
        defined: Any = sys.modules.get(f"torchvision.models.detection.{name}")
        if defined is not None and isinstance(module, getattr(defined, class_name)):
            return True
    return False


def detection_of(module: nn.Module) -> Detection | None:
    """Return the limits that decide which boxes a `Detector` gives; None for other modules.

    Where torchvision keeps none under these names, as in detectors of two stages, None too.
    """
    if not isinstance(module, Detector) or not hasattr(module.detector, "score_thresh"):
        return None
    detector: Any = module.detector
    return Detection(
        score_threshold=detector.score_thresh,
        iou_threshold=detector.nms_thresh,
        max_detections=detector.detections_per_img,
    )
