"""A small file of every task, exported as users export their own modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import exporter

SIDE = 32
CHOICE = exporter.PreprocessingChoice(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


class Pixels(nn.Module):
    """Numbers for every second pixel, in a dict as torchvision's segmentation gives them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.conv(x)}


class Vector(nn.Module):
    """A vector for every photo, of length 1 where `normalized`."""

    def __init__(self, size: int, *, normalized: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.head = nn.Linear(8, size)
        self.normalized = normalized

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.conv(x).mean((2, 3)))
        return nn.functional.normalize(found, dim=1) if self.normalized else found


class Detector(nn.Module):
    """Two boxes with their classes and scores; the photo's brightness moves them a little."""

    def __init__(self) -> None:
        super().__init__()
        self.corners = nn.Parameter(torch.tensor([[2.0, 3.0, 14.0, 12.0], [8.0, 8.0, 30.0, 28.0]]))
        self.register_buffer("kinds", torch.tensor([2, 1]))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        light = x.mean()
        scores = torch.sigmoid(torch.stack([light + 2, light - 9]))
        return {"boxes": self.corners + light, "labels": self.kinds + 0, "scores": scores}


class TwoInputs(nn.Module):
    """A picture that is preprocessed already, and a whole number beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, picture: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
        return self.conv(picture).mean((2, 3)), age * 2


def _example(folder: Path) -> Path:
    path = folder / "example.npz"
    rng = np.random.default_rng(0)
    picture = rng.normal(size=(1, 3, 8, 8)).astype(np.float32)
    np.savez(path, picture=picture, age=np.array([[7]], dtype=np.int64))
    return path


def export_every_task(folder: Path) -> list[Path]:
    """Export a file of every task into `folder`; return their paths."""
    labels = ["background", "cat", "dog"]
    made: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
        "class_map": (lambda: Pixels(3), {"labels": labels}),
        "classmap": (lambda: Pixels(3), {"labels": labels, "output": "class_map"}),
        "depth": (lambda: Pixels(1), {"task": "depth-estimation", "unit": "m"}),
        "boxes": (Detector, {"labels": labels}),
        "embedding": (lambda: Vector(6, normalized=True), {}),
        "numbers": (
            lambda: Vector(1, normalized=False), {"task": "image-regression", "unit": "years"},
        ),
        "classes": (
            lambda: Vector(3, normalized=False),
            {"task": "image-classification", "labels": labels},
        ),
        "tensors": (lambda: Vector(3, normalized=False), {}),
    }  # fmt: skip
    photo = {"input_shape": (1, 3, SIDE, SIDE), "preprocessing": CHOICE}
    paths = []
    for name, (build, options) in made.items():
        torch.manual_seed(0)
        artifact = exporter.export(build().eval(), out=folder, name=name, **photo, **options)
        paths.append(artifact.path)
    torch.manual_seed(0)
    two = exporter.export(
        TwoInputs().eval(), out=folder, name="two_inputs", input="tensor", example=_example(folder)
    )
    return [*paths, two.path]
