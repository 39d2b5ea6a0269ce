"""What else could do an artifact's job on this machine, for `bench`: optional, none required.

A peer takes the artifact's own input. Where the artifact preprocesses in its graph, the peer
preprocesses with Pillow and timm inside the timed call, so both do the same work.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .artifact import read_artifact
from .reference import Reference, build_reference

Forward = Callable[[list[np.ndarray]], list[np.ndarray]]

# Peer -> the modules it needs besides this package's own dependencies.
NEEDS = {
    "eager": (),
    "onnxruntime": ("onnxruntime", "onnx"),
    "executorch": ("executorch",),
}


def missing(peer: str) -> str:
    """Say in a word why a peer cannot run here; empty when it can."""
    absent = [name for name in NEEDS[peer] if importlib.util.find_spec(name) is None]
    return f"not installed (pip install {' '.join(absent)})" if absent else ""


def load(header: dict[str, Any]) -> Forward:
    """Build the peer named in a `load` frame for the artifact it names."""
    metadata = read_artifact(str(header["path"])).metadata
    weights = header.get("weights")
    reference = build_reference(
        metadata,
        reference=header.get("reference"),
        weights=None if weights is None else Path(weights),
        trust_factory=bool(header.get("trust_factory")),
    )
    if metadata.input.kind == "image":
        side = metadata.input.min_side  # timm is imported here, not in the first timed call
        reference.preprocess(np.zeros((side, side, 3), np.uint8))
    builders = {"eager": _eager, "onnxruntime": _onnxruntime, "executorch": _executorch}
    return builders[str(header["peer"])](reference, int(header["threads"]))


def _eager(reference: Reference, threads: int) -> Forward:
    return lambda inputs: reference.forward(inputs)


def _prepare(reference: Reference, inputs: list[np.ndarray]) -> list[np.ndarray]:
    if reference.metadata.input.kind == "image":
        return [reference.preprocess(inputs[0]).numpy()]
    return inputs


def _examples(reference: Reference) -> tuple[Any, ...]:
    import torch

    described = reference.metadata
    if described.input.kind == "tensor":
        return tuple(
            torch.zeros(t.shape, dtype=getattr(torch, t.dtype)) for t in described.input.tensors
        )
    assert described.preprocessing is not None
    return (torch.zeros(1, *described.preprocessing.input_size),)


def _onnxruntime(reference: Reference, threads: int) -> Forward:
    import torch

    onnxruntime: Any = importlib.import_module("onnxruntime")  # optional, and untyped
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.onnx"
        # The classic exporter: it needs no further package, and opset 17 has LayerNorm.
        torch.onnx.export(
            reference.network, _examples(reference), str(path), opset_version=17, dynamo=False
        )
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    names = [entry.name for entry in session.get_inputs()]

    def forward(inputs: list[np.ndarray]) -> list[np.ndarray]:
        prepared = _prepare(reference, inputs)
        outputs = session.run(None, dict(zip(names, prepared, strict=True)))
        return reference.finish([torch.from_numpy(array) for array in outputs])

    return forward


def _executorch(reference: Reference, threads: int) -> Forward:
    import torch

    # By name: it clashes with this package's torch, so type checkers never see it.
    partition: Any = importlib.import_module(
        "executorch.backends.xnnpack.partition.xnnpack_partitioner"
    )
    exir: Any = importlib.import_module("executorch.exir")
    runtime: Any = importlib.import_module("executorch.runtime")
    exported = torch.export.export(reference.network, _examples(reference))
    partitioner = partition.XnnpackPartitioner()
    program = exir.to_edge_transform_and_lower(exported, partitioner=[partitioner])
    loaded = runtime.Runtime.get().load_program(program.to_executorch().buffer)
    method = loaded.load_method("forward")

    def forward(inputs: list[np.ndarray]) -> list[np.ndarray]:
        prepared = [torch.from_numpy(array) for array in _prepare(reference, inputs)]
        return reference.finish(list(method.execute(prepared)))

    return forward
