"""Real weights and real images for the quantization tests; small, so that every test is quick."""

from __future__ import annotations

import copy
import importlib.resources
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from exporter.quantize.apply import QuantizeImages, quantize
from exporter.quantize.describe import Quantized
from exporter.recipes import RECIPES

from ...data_sets import efficientnet_lite0, fashion_normalize, fashion_vit

DATA = Path(__file__).parents[2] / "data"


@dataclass(frozen=True)
class Task:
    """A float model, calibration batches, and other images to measure on."""

    model: nn.Module
    calibration: list[Tensor]
    measured: list[Tensor]
    labels: Tensor | None
    train: Tensor
    train_labels: Tensor | None

    @property
    def example(self) -> Tensor:
        return self.measured[0][:1]

    @property
    def images(self) -> QuantizeImages:
        return QuantizeImages(example=self.example, calibration=self.calibration)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def fashion() -> Task:
    """The ViT of tests/data with 64 + 128 training and 512 test images of Fashion-MNIST."""
    with np.load(DATA / "fashion_sample.npz") as arrays:
        train = fashion_normalize(torch.from_numpy(arrays["train"])[:, None])
        test = fashion_normalize(torch.from_numpy(arrays["test"])[:, None])
        labels = torch.from_numpy(arrays["test_labels"]).long()
        train_labels = torch.from_numpy(arrays["train_labels"]).long()
    return Task(
        model=fashion_vit(DATA / "fashion_vit.safetensors"),
        calibration=list(train[:64].split(32)),
        measured=list(test.split(256)),
        labels=labels,
        train=train[64:],
        train_labels=train_labels[64:],
    )


def photo(name: str) -> np.ndarray:
    """One of scikit-image's photos as uint8 H,W,3."""
    path = Path(str(importlib.resources.files("skimage"))) / "data" / name
    return np.array(Image.open(path).convert("RGB"))


def crops(names: list[str], count: int, seed: int) -> Tensor:
    """Cut `count` random crops out of scikit-image photos, normalized to mean = std = 0.5."""
    generator = np.random.default_rng(seed)
    out = []
    for index in range(count):
        pixels = torch.from_numpy(photo(names[index % len(names)])).permute(2, 0, 1).float()
        side = int(min(pixels.shape[1:]) * generator.uniform(0.6, 1.0))
        top = int(generator.integers(0, pixels.shape[1] - side + 1))
        left = int(generator.integers(0, pixels.shape[2] - side + 1))
        square = pixels[None, :, top : top + side, left : left + side]
        resized = nn.functional.interpolate(square, (224, 224), mode="bilinear", antialias=True)
        out.append(resized / 127.5 - 1.0)
    return torch.cat(out)


@pytest.fixture(scope="session")
def cat() -> np.ndarray:
    return photo("chelsea.png")


@pytest.fixture(scope="session")
def lite0() -> Task:
    """tf_efficientnet_lite0 with its ImageNet weights; calibrated and measured on other photos."""
    calibration = crops(["rocket.jpg", "chelsea.png", "motorcycle_left.png"], 8, seed=0)
    measured = crops(["coffee.png", "astronaut.png"], 12, seed=1)
    return Task(
        model=efficientnet_lite0().eval(),
        calibration=list(calibration.split(4)),
        measured=list(measured.split(6)),
        labels=None,
        train=calibration,
        train_labels=None,
    )


# A recipe's name to what it makes of a model, made once a session: not to be changed.
MadeInt8 = Callable[[str], Quantized]


@pytest.fixture(scope="session")
def fashion_int8(fashion: Task) -> MadeInt8:
    return cache(lambda name: quantize(fashion.model, RECIPES[name], fashion.images))


@pytest.fixture(scope="session")
def lite0_int8(lite0: Task) -> MadeInt8:
    return cache(lambda name: quantize(lite0.model, RECIPES[name], lite0.images))


@pytest.fixture(scope="session")
def spoilt(fashion: Task) -> nn.Module:
    """The real ViT with one layer that int8 ruins: a huge activation, undone in float."""
    model = copy.deepcopy(fashion.model)

    class Ruin(nn.Module):
        def __init__(self, layer: nn.Linear) -> None:
            super().__init__()
            wide = nn.Linear(layer.in_features, layer.out_features + 1)
            with torch.no_grad():
                wide.weight[:-1] = layer.weight
                wide.bias[:-1] = layer.bias
                wide.weight[-1] = 0.0
                wide.bias[-1] = 3e3  # one constant channel takes the whole int8 range
            self.wide = wide

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.wide(x)[..., :-1]

    model.head = Ruin(model.head)
    return model.eval()
