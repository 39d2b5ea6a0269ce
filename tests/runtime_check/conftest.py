"""Artifacts made by hand, so that these tests need no exporter."""

from __future__ import annotations

import base64
import copy
import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from torch import nn

from runtime_check.artifact.metadata import Golden, Metadata, SampledData, TensorData
from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.install import install
from runtime_check.reference.weights import state_dict_sha256
from runtime_check.runtimes.lite import quantized_engine, write_lite
from runtime_check.signing import MANIFEST_RECORD, SIGNATURE_RECORD, manifest_of
from runtime_check.testing.archives import records_of, with_records
from runtime_check.testing.models import small_classifier

from ..small_programs import Programs
from ..stated import GEOMETRY, stated_output

FACTORY = "runtime_check.testing.models:small_classifier"
LABELS = [f"class {i}" for i in range(10)]
MEAN, STD = (0.5, 0.4, 0.45), (0.25, 0.22, 0.3)


class InGraph(nn.Module):
    """timm's evaluation transform (center crop, bicubic), the net, a softmax."""

    def __init__(self, net: nn.Module, size: int, scale: int) -> None:
        super().__init__()
        self.net = net
        self.size = size
        self.scale = scale
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1) * 255)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = image.permute(2, 0, 1).unsqueeze(0).to(torch.float32)
        h, w = x.shape[2], x.shape[3]
        if h < w:
            rows, columns = self.scale, int(self.scale * w / h)
        else:
            rows, columns = int(self.scale * h / w), self.scale
        if rows != h or columns != w:
            x = torch.ops.aten._upsample_bicubic2d_aa(x, [rows, columns], False, None, None)
            x = x.clamp(0.0, 255.0)
        top = int(round((rows - self.size) / 2.0))  # noqa: RUF046  a float in TorchScript
        left = int(round((columns - self.size) / 2.0))  # noqa: RUF046  as above
        x = x[:, :, top : top + self.size, left : left + self.size]
        return nn.functional.softmax(self.net((x - self.mean) / self.std), dim=1)[0]


@dataclass(frozen=True)
class Made:
    path: Path
    metadata: Metadata
    module: nn.Module


def describe(
    net: nn.Module, kind: str, expected: list[np.ndarray], tolerance: dict[str, Any]
) -> dict[str, Any]:
    image = kind == "image"
    source = {"kind": "image", "min_side": 8, "max_side": 2000, "geometry": GEOMETRY}
    tensor = {
        "kind": "tensor",
        "tensors": [{"name": "x", "shape": [1, 3, 32, 32], "dtype": "float32"}],
        "dynamic_batch": True,
    }
    return {
        "name": "small_classifier",
        "input": source if image else tensor,
        "preprocessing": {
            "input_size": [3, 32, 32],
            "interpolation": "bicubic",
            "crop_pct": 0.8,
            "crop_mode": "center",
            "mean": MEAN,
            "std": STD,
            "in_graph": True,
        }
        if image
        else None,
        "task": "image-classification",
        "output": stated_output(
            *((a.shape, str(a.dtype)) for a in expected),
            activation="softmax" if image else "none",
            labels=LABELS,
        ),
        "quantization": {},
        "capture": {"method": "script", "reason": "by hand"},
        "passes": [],
        "produced_by": {
            "exporter": "tests",
            "torch": torch.__version__,
            "timm": None,
            "bytecode_version": 8,
        },
        "operators": {},
        "runtimes": [],
        "provenance": {
            "source": "factory",
            "model": FACTORY,
            "weights": {
                "origin": "factory",
                "detail": FACTORY,
                "sha256": state_dict_sha256(net.state_dict()),
            },
        },
        "tolerance": tolerance,
        "ledger": [],
    }


def save(
    scripted: Any,
    path: Path,
    metadata: dict[str, Any],
    cases: list[tuple[list[np.ndarray], list[np.ndarray]]],
) -> Path:
    """Write the lite file with both records; fill in operators from the bytecode."""
    from runtime_check.artifact.archive import read_bytecode

    write_lite(scripted, path)
    bytecode = read_bytecode(path)
    metadata = {**metadata, "operators": bytecode.calls}
    metadata["produced_by"] = {**metadata["produced_by"], "bytecode_version": bytecode.version}
    golden = {
        "tolerance": metadata["tolerance"],
        "cases": [
            {
                "name": f"case {i}",
                "inputs": [TensorData.of(a) for a in inputs],
                "expected": [SampledData.of(a) for a in expected],
            }
            for i, (inputs, expected) in enumerate(cases)
        ],
    }
    files = {
        "metadata.json": Metadata.model_validate(metadata).model_dump_json(),
        "golden.json": Golden.model_validate(golden).model_dump_json(),
    }
    write_lite(scripted, path, extra=files)
    return path


def _optimize(module: nn.Module) -> Any:
    from torch.utils.mobile_optimizer import optimize_for_mobile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optimize_for_mobile(torch.jit.freeze(torch.jit.script(module.eval())))


def _quantize(net: nn.Module) -> nn.Module:
    from torch.ao.quantization import QConfigMapping, default_symmetric_qnnpack_qconfig
    from torch.ao.quantization.backend_config import get_qnnpack_backend_config
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    with quantized_engine(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mapping = QConfigMapping().set_global(default_symmetric_qnnpack_qconfig)
        example = torch.randn(1, 3, 32, 32)
        # The default backend config refuses symmetric ranges and then quantizes nothing.
        backend = get_qnnpack_backend_config()
        prepared = prepare_fx(copy.deepcopy(net), mapping, (example,), backend_config=backend)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for _ in range(8):
                prepared(torch.randn(4, 3, 32, 32, generator=generator))
        # FX's annotation `_torch_Tensor_` does not script, so the inner net is traced.
        return torch.jit.trace(convert_fx(prepared, backend_config=backend), example)


EXACT = {"atol": 2e-5, "rtol": 1e-5, "basis": "float32 rounding of a small net"}


def make_tensor(path: Path, *, net: nn.Module | None = None, **changes: Any) -> Made:
    net = net or small_classifier()
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.randn(1, 3, 32, 32, generator=generator) for _ in range(2)]
    with torch.no_grad():
        outputs = [net(x) for x in inputs]
    metadata = describe(net, "tensor", [outputs[0].numpy()], EXACT) | changes
    cases = [([x.numpy()], [y.numpy()]) for x, y in zip(inputs, outputs, strict=True)]
    save(_optimize(net), path, metadata, cases)
    return Made(path, Metadata.model_validate(metadata), net)


def make_image(path: Path, *, quantized: bool = False, **changes: Any) -> Made:
    net = small_classifier()
    generator = np.random.default_rng(1)
    images = [generator.integers(0, 256, (40, 40 + i, 3), dtype=np.uint8) for i in range(2)]
    tolerance = dict(EXACT)
    inner: nn.Module = net
    if quantized:
        inner = _quantize(net)
        tolerance = {"atol": 0.05, "rtol": 0.0, "basis": "steps of the output", "step": 0.02}
    module = InGraph(inner, 32, 40).eval()
    with quantized_engine(), torch.no_grad():
        outputs = [module(torch.from_numpy(i)).numpy() for i in images]
    metadata = describe(net, "image", [outputs[0]], tolerance)
    if quantized:
        metadata["quantization"] = {
            "method": "static",
            "mode": "fx",
            "engine": "qnnpack",
            "scheme": "symmetric",
            "int8_layers": 6,
        }
    metadata |= changes
    cases = [([i], [y]) for i, y in zip(images, outputs, strict=True)]
    with quantized_engine():  # which packs the weights
        save(_optimize(module), path, metadata, cases)
    return Made(path, Metadata.model_validate(metadata), net)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="session")
def tensor_ptl(folder: Path) -> Made:
    return make_tensor(folder / "tensor.ptl")


@pytest.fixture(scope="session")
def image_ptl(folder: Path) -> Made:
    return make_image(folder / "image.ptl")


@pytest.fixture(scope="session")
def int8_ptl(folder: Path) -> Made:
    return make_image(folder / "int8.ptl", quantized=True)


@pytest.fixture(scope="session")
def tensor_pte(folder: Path, small_programs: Programs) -> Path:
    """A program of one method with its metadata and golden vectors."""
    from .program_files import write_program_file

    pytest.importorskip("executorch", reason="it is an extra: pip install '.[executorch]'")
    return write_program_file(small_programs, folder / "tensor.pte")


@pytest.fixture(scope="session")
def build_tensor_ptl() -> Callable[..., Made]:
    return make_tensor


@pytest.fixture(scope="session")
def build_image_ptl() -> Callable[..., Made]:
    return make_image


@dataclass(frozen=True)
class Signed:
    path: Path
    key: str
    key_id: str


@pytest.fixture(scope="session")
def signed_ptl(tensor_ptl: Made, folder: Path) -> Signed:
    """The tensor artifact with the two records that `exporter` would add."""
    key = Ed25519PrivateKey.generate()
    key_id = bytes(range(8))
    records = records_of(tensor_ptl.path)
    manifest = manifest_of({n: hashlib.sha256(d).hexdigest() for n, d in records.items()})
    signature = key.sign(manifest)
    lines = (
        b"untrusted comment: x",
        base64.b64encode(b"Ed" + key_id + signature),
        b"trusted comment: small, schema 2.0",
        base64.b64encode(key.sign(signature + b"small, schema 2.0")),
    )
    more = {MANIFEST_RECORD: manifest, SIGNATURE_RECORD: b"\n".join(lines) + b"\n"}
    path = with_records(tensor_ptl.path, folder / "signed.ptl", {**more})
    public = base64.b64encode(b"Ed" + key_id + key.public_key().public_bytes_raw()).decode()
    return Signed(path, public, "0706050403020100")


@pytest.fixture(scope="session")
def native_executorch() -> str:
    """ExecuTorch without emulation; installing it is a download of 19 MB and some seconds."""
    try:
        return install("x86-executorch").runtime.name
    except DeviceUnavailable as error:
        pytest.skip(str(error))
