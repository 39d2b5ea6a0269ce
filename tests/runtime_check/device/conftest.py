from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.install import find_installed, install
from runtime_check.runtimes.lite import quantized_engine, write_lite


@dataclass(frozen=True)
class SavedModel:
    path: Path
    inputs: list[np.ndarray]
    eager: list[np.ndarray]
    step: float  # one quantization step of the output, 0 for float


@pytest.fixture(scope="session")
def host_runtime() -> str:
    """The C++ core built against the installed torch; building it takes a compiler, no network."""
    try:
        return install("host").runtime.name
    except DeviceUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def arm_runtime() -> str:
    try:
        return find_installed("arm64-2.1.0").runtime.name
    except DeviceUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def arm_executorch() -> str:
    try:
        return find_installed("arm64-executorch").runtime.name
    except DeviceUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session", params=["native_executorch", "arm_executorch"])
def executorch_runtime(request: pytest.FixtureRequest) -> str:
    """Each of the two builds of ExecuTorch, in turn."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(autouse=True)
def phone_engine() -> Iterator[None]:
    with quantized_engine():
        yield


def _net() -> Any:
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
            self.bn = nn.BatchNorm2d(width)
            self.act = nn.ReLU()
            self.point = nn.Conv2d(width, width, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.point(self.act(self.bn(self.depthwise(x))))

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Block(16),
        Block(16),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )
    # Statistics of an untrained net are 0 and 1, and hide a wrong fold.
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.3, 0.3)
    return net.eval()


def _images(count: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal((count, 3, 32, 32)).astype(np.float32)


@pytest.fixture(scope="session")
def float_model(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    import torch
    from torch.utils.mobile_optimizer import optimize_for_mobile

    path = tmp_path_factory.mktemp("models") / "float.ptl"
    image = torch.from_numpy(_images(2))
    net = _net()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = optimize_for_mobile(torch.jit.script(net))
        write_lite(scripted, path, extra={"metadata.json": '{"name": "Größe"}', "empty": ""})
        eager = net(image)
    return SavedModel(path, [image.numpy()], [eager.numpy()], 0.0)


@pytest.fixture(scope="session")
def int8_model(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    import torch
    from torch.ao.quantization import QConfigMapping
    from torch.ao.quantization.backend_config import get_qnnpack_backend_config
    from torch.ao.quantization.qconfig import default_symmetric_qnnpack_qconfig
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    path = tmp_path_factory.mktemp("models") / "int8.ptl"
    images = torch.from_numpy(_images(8))
    with quantized_engine(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mapping = QConfigMapping().set_global(default_symmetric_qnnpack_qconfig)
        net = prepare_fx(_net(), mapping, images, backend_config=get_qnnpack_backend_config())
        net(images)
        net = convert_fx(net, backend_config=get_qnnpack_backend_config())
        scripted = torch.jit.script(net)
        write_lite(scripted, path)
        eager = net(images[:2])
    step = float(net.get_submodule("7").scale)
    return SavedModel(path, [images[:2].numpy()], [eager.numpy()], step)


@pytest.fixture(scope="session")
def many_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nested outputs of several types from a uint8 HWC image and an int64 vector."""
    import torch
    from torch import nn

    class Many(nn.Module):
        def forward(
            self, image: torch.Tensor, index: torch.Tensor
        ) -> tuple[torch.Tensor, dict[str, torch.Tensor], list[torch.Tensor]]:
            if image.dim() != 3:
                raise ValueError("the image must be H x W x 3")
            scaled = image.to(torch.float32) / 255
            image.add_(1)  # in place: the caller's memory must stay as it was
            return (
                scaled.permute(2, 0, 1),
                {"positive": index > 0, "double": index.to(torch.float64)},
                [index, image.sum(), index.to(torch.float16)],
            )

    path = tmp_path_factory.mktemp("models") / "many.ptl"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_lite(torch.jit.script(Many()), path)
    return path
