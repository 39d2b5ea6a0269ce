from __future__ import annotations

import ctypes
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from .core import Core
from .sources import make_stubs
from .tools import Absent, Swift, find_swift, torch_root


@pytest.fixture(scope="session")
def swift() -> Swift:
    try:
        return find_swift()
    except Absent as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def stubs(swift: Swift, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of modules with the names that the app uses of Apple's, and the package's own."""
    folder = tmp_path_factory.mktemp("modules")
    make_stubs(swift, folder)
    return folder


@dataclass(frozen=True)
class Small:
    """A file of a few kilobytes (float32, 1 x 3 x 8 x 8 -> 1 x 5), and half of it."""

    good: Path
    damaged: Path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("small")
    program = (
        "import torch, warnings; warnings.simplefilter('ignore')\n"
        "from torch import nn; from torch.utils.mobile_optimizer import optimize_for_mobile\n"
        "torch.backends.quantized.engine = 'qnnpack'; torch.manual_seed(0)\n"
        "net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))\n"
        "script = optimize_for_mobile(torch.jit.script(net.eval()))\n"
        "script._save_for_lite_interpreter('good.ptl', _extra_files={'metadata.json': '{}'})\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, timeout=300)
    good, damaged = folder / "good.ptl", folder / "damaged.ptl"
    content = good.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    return Small(good, damaged)


@pytest.fixture(scope="session")
def core(core: ctypes.CDLL) -> Core:
    """The library of `tests/conftest.py`, with methods."""
    return Core(core)


@pytest.fixture(scope="session")
def torch_here() -> tuple[Path, str, list[str]]:
    return torch_root()
