"""Networks trained for seconds on drawn shapes: a segmentation and an embedding, with real margins.

Random weights would not do: where all scores are alike, int8 changes every answer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from PIL import Image
from torch import Tensor, nn

HEIGHT, WIDTH = 32, 48
COLORS = np.array([[60, 60, 70], [210, 70, 50], [60, 180, 90]])  # ground, disk, box


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 N,H,W,3 of a disk or a box (in turns) on a slope, and maps N,H,W of which."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pictures, maps = [], []
    for index in range(count):
        row, column = rng.uniform(8, 24), rng.uniform(10, 38)
        size = rng.uniform(5, 10)
        far = (
            np.hypot(y - row, x - column)
            if index % 2 == 0
            else np.maximum(np.abs(y - row), np.abs(x - column))
        )
        classes = np.where(far < size, 1 + index % 2, 0)
        slope = rng.uniform(-0.8, 0.8) * (x - 24) + rng.uniform(-0.8, 0.8) * (y - 16)
        shade = slope[..., None] + rng.normal(0, 4, (HEIGHT, WIDTH, 3))
        pictures.append((COLORS[classes] + shade).clip(0, 255).astype(np.uint8))
        maps.append(classes)
    return np.stack(pictures), np.stack(maps)


def as_input(pictures: np.ndarray) -> Tensor:
    """Pictures as the networks were trained on them: N,C,H,W, from -1 to 1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def write(pictures: np.ndarray, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{index:03}.png")
    return folder


class Segmenter(nn.Module):
    """Scores of three classes for each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.num_classes = 3
        self.a, self.b = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1)
        self.head = nn.Conv2d(12, 3, 1)

    def features(self, x: Tensor) -> Tensor:
        return torch.relu(self.b(torch.relu(self.a(x))))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.features(x))
        return out


class Named(nn.Module):
    """The same in a dict, behind an output of another shape and scale."""

    def __init__(self, inner: Segmenter) -> None:
        super().__init__()
        self.inner = inner
        self.num_classes = 3

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.inner.features(x)
        return {"area": 1000 * y.mean((2, 3)), "mask": self.inner.head(y)}


class Embedder(nn.Module):
    """A direction for each picture."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 16, 3, 2, 1)
        self.head = nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.b(torch.relu(self.a(x)))).mean((2, 3))
        return functional.normalize(self.head(y), dim=1)


def trained_segmenter() -> Segmenter:
    torch.manual_seed(0)
    model, (pictures, maps) = Segmenter(), drawn(64, seed=1)
    x, wanted = as_input(pictures), torch.from_numpy(maps)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(80):
        part = slice(16 * (step % 4), 16 * (step % 4) + 16)
        loss = functional.cross_entropy(model(x[part]), wanted[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def trained_embedder() -> Embedder:
    torch.manual_seed(0)
    model, (pictures, _) = Embedder(), drawn(64, seed=1)
    x = as_input(pictures)
    aims = functional.normalize(torch.randn(2, 8), dim=1)[torch.arange(64) % 2]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = 1 - (model(x) * aims).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


class Valued(nn.Module):
    """Values for each picture: `kind` is the task that they are for."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.a, self.b = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1)
        places = {"image-to-image": 3, "depth-estimation": 1, "keypoint-detection": 1}
        self.head: nn.Module = nn.Linear(12, 1)
        if kind in places:
            self.head = nn.Conv2d(12, places[kind], 1)
        row, column = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
        self.register_buffer("grid", torch.stack([column, row], -1).reshape(-1, 2).float())

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.b(torch.relu(self.a(x))))
        if self.kind == "image-regression":
            y = y.mean((2, 3))
        y = self.head(y)
        if self.kind != "keypoint-detection":
            return y
        return torch.softmax(y.flatten(2), -1) @ self.grid  # [N, 1, 2]: x and y, in pixels


def wanted_values(kind: str, pictures: np.ndarray, maps: np.ndarray) -> Tensor:
    """What a `Valued` learns: meters, a share in percent, the negative, or the shape's center."""
    classes = torch.from_numpy(maps).float()
    if kind == "depth-estimation":
        return 5.0 - 2 * classes[:, None]
    if kind == "image-regression":
        return 100 * (classes > 0).float().mean((1, 2))[:, None]
    if kind == "image-to-image":
        return -as_input(pictures)
    centers = [np.argwhere(found > 0).mean(0)[::-1].copy() for found in maps]
    return torch.from_numpy(np.stack(centers)).float()[:, None]


def trained_values(kind: str) -> Valued:
    torch.manual_seed(0)
    model, (pictures, maps) = Valued(kind), drawn(64, seed=1)
    x, wanted = as_input(pictures), wanted_values(kind, pictures, maps)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(300 if kind == "image-regression" else 100):
        part = slice(16 * (step % 4), 16 * (step % 4) + 16)
        loss = ((model(x[part]) - wanted[part]) / wanted.std()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()
