"""Small programs for ExecuTorch, lowered once in a session, and what they compute, by hand.

`python -m tests.small_programs FOLDER` writes them: lowering imports executorch, which takes
seconds and talks, so it happens in a process of its own.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

if TYPE_CHECKING:
    from torch import nn

ROOT = Path(__file__).parents[1]
LARGEST = 16  # the side of the largest image that `two` is made for


@dataclass(frozen=True)
class Programs:
    """A folder of programs.

    `one` has `forward` alone, for float32 [1, 3, 6, 7]; `two` has `preprocess` as well, for uint8
    images up to `LARGEST`; `many` has five inputs and outputs of five types; `orders` gives a
    channels-last and a half-precision tensor; `channels_last` wants its input so.
    """

    folder: Path

    def __getitem__(self, name: str) -> Path:
        return self.folder / f"{name}.pte"

    @property
    def weights(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / "weights.npz") as stored:
            return dict(stored)

    @property
    def planned(self) -> int:
        """Bytes that the memory of `many` has."""
        return int((self.folder / "planned").read_text(encoding="ascii"))

    def expected(self, images: np.ndarray) -> np.ndarray:
        """Compute `forward` in float64: a 3x3 convolution, ReLU, the mean, a linear layer."""
        weights = self.weights
        kernel, bias = weights["conv.weight"], weights["conv.bias"]
        rows, columns = images.shape[2:]
        padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
        mapped = np.zeros((len(images), len(kernel), rows, columns))
        for y in range(3):
            for x in range(3):
                part = padded[:, :, y : y + rows, x : x + columns]
                mapped += np.einsum("oc,nchw->nohw", kernel[:, :, y, x], part)
        pooled = np.maximum(mapped + bias[None, :, None, None], 0).mean((2, 3))
        return np.asarray(pooled @ weights["linear.weight"].T + weights["linear.bias"])


def preprocessed(photo: np.ndarray) -> np.ndarray:
    """Do what `preprocess` does: HWC bytes to [1, 3, H, W] from 0 to 1."""
    return np.asarray((photo / np.float32(255)).transpose(2, 0, 1)[None])


def make_programs(folder: Path) -> Programs:
    """Return the programs in `folder`, lowering them in a process of its own when absent."""
    programs = Programs(folder / "programs")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "programs.lock"):
        if not (programs.folder / "weights.npz").exists():
            done = subprocess.run(
                [sys.executable, "-m", "tests.small_programs", str(programs.folder)],
                cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True,
                text=True, timeout=500, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-3000:]
    return programs


def _networks() -> dict[str, nn.Module]:
    import torch
    from torch import Tensor, nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 8, 3, padding=1)
            self.linear = nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(torch.relu(self.conv(x)).mean([2, 3]))

    class Preprocess(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return (image.to(torch.float32) / 255).permute(2, 0, 1)[None]

    class Many(nn.Module):
        def forward(
            self, a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor
        ) -> tuple[Tensor, ...]:
            return a + 1, b * 2, c - 1, d * 0.5, torch.logical_not(e)

    class Orders(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            return (x + 1).to(memory_format=torch.channels_last), x.to(torch.float16)

    return {
        "net": Net().eval(), "preprocess": Preprocess(), "many": Many(), "orders": Orders()
    }  # fmt: skip


def _lower(folder: Path, name: str, delegated: bool = False, **methods: object) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    partitioners = [XnnpackPartitioner()] if delegated else []
    lowered = to_edge_transform_and_lower(
        methods,
        partitioner={method: partitioners if method == "forward" else [] for method in methods},
        compile_config=EdgeCompileConfig(_check_ir_validity=False),
    ).to_executorch()
    (folder / f"{name}.pte").write_bytes(lowered.buffer)
    if name == "many":
        (plan,) = lowered.executorch_program.execution_plan
        (folder / "planned").write_text(str(plan.non_const_buffer_sizes[1]), encoding="ascii")


def _write(folder: Path) -> None:
    found = importlib.util.find_spec("executorch")
    assert found is not None
    assert found.submodule_search_locations
    # Looked for on the path alone otherwise.
    flatc = [Path(place, "data", "bin", "flatc") for place in found.submodule_search_locations]
    os.environ["FLATC_EXECUTABLE"] = str(next(path for path in flatc if path.is_file()))
    import torch
    from torch.export import Dim, export

    folder.mkdir(parents=True, exist_ok=True)
    networks = _networks()
    net = networks["net"]
    image = torch.zeros(1, 3, 6, 7)
    height, width = (Dim(name, min=2, max=LARGEST) for name in "hw")
    before = export(
        networks["preprocess"],
        (torch.zeros(6, 7, 3, dtype=torch.uint8),),
        dynamic_shapes=({0: height, 1: width},),
    )
    after = export(net, (image,), dynamic_shapes=({2: height, 3: width},))
    _lower(folder, "one", delegated=True, forward=export(net, (image,)))
    _lower(folder, "two", delegated=True, preprocess=before, forward=after)
    types = (torch.uint8, torch.int64, torch.int32, torch.float32, torch.bool)
    inputs = tuple(torch.ones(2, 3).to(dtype) for dtype in types)
    _lower(folder, "many", forward=export(networks["many"], inputs))
    _lower(folder, "orders", forward=export(networks["orders"], (torch.zeros(1, 2, 3, 4),)))
    last = image.to(memory_format=torch.channels_last)
    _lower(folder, "channels_last", forward=export(torch.nn.ReLU(), (last,)))
    # The last: its being there says that all are.
    np.savez(folder / "weights.npz", **{k: v.numpy() for k, v in net.state_dict().items()})


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
