"""Small `.pte` files made by hand: ExecuTorch's own tools, the records and the zip behind it.

What the exporter writes is tested elsewhere; here is what the app's reader may be given, made from
the format's description alone: program, then a zip whose offsets count from the file's first byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from runtime_check.artifact.metadata import GoldenCase, SampledData, TensorData

from ..golden.tiny import image_of, tiny_golden, tiny_metadata

METADATA, GOLDEN = "archive/extra/metadata.json", "archive/extra/golden.json"
MOST = 64  # pixels on a side
_SIZES = ((4, 6), (7, 3), (64, 64))


class Means(torch.nn.Module):
    """Stands for a preprocessing: a photo of any size to the means of its channels, as pixels."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Take uint8 H x W x 3, return float32 1 x 3 x 8 x 8."""
        means = image.to(torch.float32).mean((0, 1)) / 255 - 0.5
        return means.view(1, 3, 1, 1) * torch.linspace(-1, 1, 64).view(1, 1, 8, 8)


class Net(torch.nn.Module):
    """A network that XNNPACK takes over, with outputs of two types."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.linear = torch.nn.Linear(144, 5)

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Return shares of five classes, float32, and the place of the largest, int64."""
        scores = self.linear(torch.relu(self.conv(pixels)).flatten(1))[0]
        return [scores.softmax(0), scores.argmax(0, keepdim=True)]


@dataclass(frozen=True)
class Tiny:
    """The two modules of one artifact."""

    preprocess: Means
    network: Net

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            made = self.network(self.preprocess(torch.from_numpy(image)))
        return [tensor.numpy() for tensor in made]


def tiny() -> Tiny:
    """The network, drawn with a fixed seed."""
    torch.manual_seed(0)
    return Tiny(Means().eval(), Net().eval())


def lowered(model: Tiny) -> bytes:
    """Lower both methods, the network by XNNPACK, as `NAME.pte` holds them."""
    import executorch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    (folder,) = executorch.__path__
    os.environ.setdefault("FLATC_EXECUTABLE", f"{folder}/data/bin/flatc")
    side = torch.export.Dim("h", min=2, max=MOST), torch.export.Dim("w", min=2, max=MOST)
    photo = torch.zeros(9, 11, 3, dtype=torch.uint8)
    with contextlib.redirect_stderr(io.StringIO()), torch.no_grad():
        methods = {
            "preprocess": torch.export.export(
                model.preprocess, (photo,), dynamic_shapes={"image": dict(enumerate(side))}
            ),
            "forward": torch.export.export(model.network, (torch.zeros(1, 3, 8, 8),)),
        }
        edge = to_edge_transform_and_lower(
            methods,
            partitioner={"preprocess": [], "forward": [XnnpackPartitioner()]},
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )
        return bytes(edge.to_executorch().buffer)


def records(model: Tiny, program: bytes, methods: tuple[str, ...]) -> dict[str, Any]:
    """The two records of a file: `METADATA` and `GOLDEN`, to be edited before they are packed."""
    metadata = json.loads(tiny_metadata().model_dump_json())
    metadata["output"]["returned"] = "list"
    outputs = metadata["output"]["tensors"]
    outputs.append({**outputs[0], "name": "best", "shape": [1], "dtype": "int64"})
    outputs[1].update(axes=["1"], holds="class_index")
    metadata["schema_version"] = "2.1"
    metadata["format"] = "pte"
    metadata["program"] = {
        "sha256": hashlib.sha256(program).hexdigest(),
        "bytes": len(program),
        "methods": list(methods),
    }
    cases = []
    for seed, (height, width) in enumerate(_SIZES):
        image = image_of(height, width, seed)
        expected = [SampledData.sampled(values, 100, seed=1) for values in model(image)]
        inputs = [TensorData.of(image)]
        cases.append(GoldenCase(name=f"{height}x{width}", inputs=inputs, expected=expected))
    golden = tiny_golden().model_copy(update={"cases": cases})
    return {METADATA: metadata, GOLDEN: json.loads(golden.model_dump_json())}


def packed(program: bytes, contents: dict[str, Any]) -> bytes:
    """Put a zip behind a program; offsets count from the file's first byte, as `zip -A` gives."""
    stream = io.BytesIO()
    stream.write(program)
    # zipfile counts from where the stream stands when it is opened, unless it appends.
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, record in contents.items():
            archive.writestr(zipfile.ZipInfo(name), json.dumps(record))
    return stream.getvalue()


def outputs_in_python(file: Path, inputs: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Run `preprocess` and `forward` of a file in ExecuTorch's own Python runtime."""
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(file)
    first, second = (program.load_method(name) for name in ("preprocess", "forward"))
    found = []
    for image in inputs:
        pixels = first.execute([torch.from_numpy(image)])
        found.append([tensor.clone().numpy() for tensor in second.execute(pixels)])
    return found
