"""What else could do an artifact's job on this machine, for `bench`: optional, none required.

A peer takes the artifact's own input. Where the artifact preprocesses in its graph, the peer
preprocesses with Pillow and timm inside the timed call, so both do the same work.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ..artifact.archive import read_artifact
from ..options import PeerName
from ..reference.reference import Reference, build_reference
from ..scratch import temporary_folder

# How the child process names `build_peer`.
BUILD = "runtime_check.bench.peers:build_peer"
Forward = Callable[[list[np.ndarray]], list[np.ndarray]]

# Peer -> the modules it needs besides this package's own dependencies.
_ONNX = ("onnxruntime", "onnx")
_EXECUTORCH = ("executorch", "torchao")
NEEDS: dict[PeerName, tuple[str, ...]] = {
    "eager": (),
    "onnxruntime": _ONNX,
    "onnxruntime-dynamic": _ONNX,
    "onnxruntime-static": _ONNX,
    "executorch": _EXECUTORCH,
    "executorch-dynamic": _EXECUTORCH,
    "executorch-static": _EXECUTORCH,
}


def package(peer: str) -> str:
    """Name the package whose version a peer's results belong to."""
    return "torch" if peer == "eager" else peer.partition("-")[0]


def quantization(peer: str) -> str:
    """Name a peer's way to int8; `none` for float32."""
    return peer.partition("-")[2] or "none"


def missing(peer: PeerName) -> str:
    """Say in a word why a peer cannot run here; empty when it can."""
    absent = [name for name in NEEDS[peer] if importlib.util.find_spec(name) is None]
    return f"not installed (pip install {' '.join(absent)})" if absent else ""


def build_peer(header: dict[str, Any]) -> tuple[Forward, str]:
    """Build the peer named in a `load` frame for the artifact it names; returns its version too."""
    metadata = read_artifact(str(header["path"])).metadata
    weights = header.get("weights")
    reference = build_reference(
        metadata,
        reference=header.get("reference"),
        weights=None if weights is None else Path(weights),
        trust_factory=bool(header.get("trust_factory")),
        allow_large=bool(header.get("allow_large")),
        exportable=False,  # a peer gets timm's fast paths, such as fused attention
    )
    if metadata.input.kind == "image":
        side = metadata.input.min_side  # timm is imported here, not in the first timed call
        reference.preprocess(np.zeros((side, side, 3), np.uint8))
    peer = str(header["peer"])
    builders = {"torch": _eager, "onnxruntime": _onnxruntime, "executorch": _executorch}
    forward = builders[package(peer)](
        reference, quantization(peer), int(header["threads"]), str(header["path"])
    )
    return forward, version(package(peer))


def _eager(reference: Reference, how: str, threads: int, path: str) -> Forward:
    return lambda inputs: reference.forward(inputs)


def _prepare(reference: Reference, inputs: list[np.ndarray]) -> list[np.ndarray]:
    if reference.metadata.input.kind == "image":
        return [reference.preprocess(inputs[0]).numpy()]
    return inputs


def _examples(reference: Reference, path: str) -> list[list[np.ndarray]]:
    """Preprocess the golden inputs: what a peer is traced with and calibrated on."""
    cases = read_artifact(path).golden.cases
    return [_prepare(reference, [data.array() for data in case.inputs]) for case in cases]


class _Feed:
    """Calibration inputs in the shape onnxruntime asks for: dicts, then None."""

    def __init__(self, names: list[str], examples: list[list[np.ndarray]]) -> None:
        self._left = iter([dict(zip(names, arrays, strict=True)) for arrays in examples])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


def _onnxruntime(reference: Reference, how: str, threads: int, path: str) -> Forward:
    import torch

    onnxruntime: Any = importlib.import_module("onnxruntime")  # optional, and untyped
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    examples = _examples(reference, path)
    with temporary_folder() as scratch:
        model = scratch / "float.onnx"
        # The classic exporter: it needs no further package, and opset 17 has LayerNorm.
        torch.onnx.export(
            reference.network,
            tuple(torch.from_numpy(array) for array in examples[0]),
            str(model),
            opset_version=17,
            dynamo=False,
        )
        if how != "none":
            model = _quantize_onnx(model, how, examples)
        session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
    names = [entry.name for entry in session.get_inputs()]

    def forward(inputs: list[np.ndarray]) -> list[np.ndarray]:
        prepared = _prepare(reference, inputs)
        outputs = session.run(None, dict(zip(names, prepared, strict=True)))
        return reference.finish([torch.from_numpy(array) for array in outputs], inputs)

    return forward


def _quantize_onnx(model: Path, how: str, examples: list[list[np.ndarray]]) -> Path:
    """Quantize by onnxruntime's own guide: shape inference first; QDQ, per channel, if static.

    Source: onnxruntime's documentation, "Quantize ONNX models".
    """
    tools: Any = importlib.import_module("onnxruntime.quantization")
    shapes: Any = importlib.import_module("onnxruntime.quantization.shape_inference")
    inferred, quantized = model.with_name("inferred.onnx"), model.with_name("int8.onnx")
    shapes.quant_pre_process(str(model), str(inferred))
    if how == "dynamic":
        tools.quantize_dynamic(str(inferred), str(quantized), weight_type=tools.QuantType.QInt8)
        return quantized
    import onnx

    names = [entry.name for entry in onnx.load(str(inferred)).graph.input]
    tools.quantize_static(
        str(inferred),
        str(quantized),
        _Feed(names, examples),
        quant_format=tools.QuantFormat.QDQ,
        per_channel=True,
        activation_type=tools.QuantType.QUInt8,
        weight_type=tools.QuantType.QInt8,
    )
    return quantized


def _executorch(reference: Reference, how: str, threads: int, path: str) -> Forward:
    import torch

    # By name: it clashes with this package's torch, so type checkers never see it.
    def imported(name: str) -> Any:
        return importlib.import_module(f"executorch.{name}")

    bindings = imported("extension.pybindings.portable_lib")
    bindings._unsafe_reset_threadpool(threads)
    examples = [tuple(torch.from_numpy(a) for a in arrays) for arrays in _examples(reference, path)]
    network: Any = reference.network
    if how != "none":
        network = _quantize_pt2e(network, how, examples)
    partition = imported("backends.xnnpack.partition.xnnpack_partitioner")
    dynamic = {} if how != "dynamic" else {
        "config_precisions": imported(
            "backends.xnnpack.partition.config.xnnpack_config"
        ).ConfigPrecisionType.DYNAMIC_QUANT,
        "per_op_mode": True,
    }  # fmt: skip
    partitioners = [partition.XnnpackPartitioner(**dynamic)] if dynamic else []
    lowered = imported("exir").to_edge_transform_and_lower(
        torch.export.export(network, examples[0]),
        partitioner=[*partitioners, partition.XnnpackPartitioner()],
    )
    # The method reads the program, and the program the buffer, without holding on to them.
    buffer = lowered.to_executorch().buffer
    program = imported("runtime").Runtime.get().load_program(buffer)
    method = program.load_method("forward")
    alive = (buffer, program)

    def forward(inputs: list[np.ndarray]) -> list[np.ndarray]:
        prepared = [torch.from_numpy(array) for array in _prepare(reference, inputs)]
        assert alive
        return reference.finish(list(method.execute(prepared)), inputs)

    return forward


def _quantize_pt2e(network: Any, how: str, examples: list[tuple[Any, ...]]) -> Any:
    """Quantize by ExecuTorch's own guide: PT2E, symmetric, weights per channel.

    Source: ExecuTorch's documentation, "XNNPACK backend: quantization".
    """
    import torch

    pt2e: Any = importlib.import_module("torchao.quantization.pt2e.quantize_pt2e")
    quantizers: Any = importlib.import_module(
        "executorch.backends.xnnpack.quantizer.xnnpack_quantizer"
    )
    config = quantizers.get_symmetric_quantization_config(
        is_per_channel=True, is_dynamic=how == "dynamic"
    )
    quantizer = quantizers.XNNPACKQuantizer().set_global(config)
    with torch.no_grad():
        prepared = pt2e.prepare_pt2e(torch.export.export(network, examples[0]).module(), quantizer)
        for example in examples:
            prepared(*example)
        return pt2e.convert_pt2e(prepared)
