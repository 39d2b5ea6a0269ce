"""What torchvision's detectors need to become files: suppression from operators of torch alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from runtime_check.artifact.metadata import Preprocessing
from runtime_check.reference.detectors import Detector

from .nms import batched_nms, nms

# torchvision's functions, where its detectors and its users look for them; last the operator, which
# a function calls that somebody has imported by its name.
_PLACES = (
    ("torchvision.ops.boxes", ("nms", "batched_nms")),
    ("torchvision.ops", ("nms", "batched_nms")),
    ("torch.ops.torchvision", ("nms",)),
)


@contextmanager
def plain_suppression() -> Iterator[None]:
    """While a trace is taken, let torchvision suppress boxes as `nms` and `batched_nms` do.

    What it records is the same function: box by box, from operators of torch alone.
    """
    ours: dict[str, Any] = {"nms": nms, "batched_nms": batched_nms}
    before: list[tuple[Any, str, Any]] = []
    if "torchvision.ops" in sys.modules:  # else nobody can have called it
        spaces: dict[str, Any] = {**sys.modules, "torch.ops.torchvision": torch.ops.torchvision}
        for place, names in _PLACES:
            before += [(spaces[place], name, getattr(spaces[place], name)) for name in names]
    try:
        for module, name, _ in before:
            setattr(module, name, ours[name])
        yield
    finally:
        for module, name, theirs in before:
            setattr(module, name, theirs)


def photo_of(module: nn.Module, shape: tuple[int, ...] | None) -> Preprocessing | None:
    """Return how a detector wants a photo, `shape` being what the user says of its input.

    The whole photo, stretched to that size or the detector's own, with colors from 0 to 1: it
    normalizes them itself. None where no size is known, and for other modules.
    """
    if not isinstance(module, Detector):
        return None
    fixed = getattr(getattr(module.detector, "transform", None), "fixed_size", None)
    if shape is None and fixed is not None:
        shape = (1, 3, fixed[1], fixed[0])
    if shape is None or len(shape) != 4:
        return None
    size = shape[1:]
    return Preprocessing.model_validate(
        {
            "input_size": size,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": [0.0] * size[0],
            "std": [1.0] * size[0],
            "in_graph": False,
        }
    )
