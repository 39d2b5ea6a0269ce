"""A whole `.pte` made by hand: a small program, and behind it its metadata and golden vectors."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from runtime_check.artifact.metadata import GOLDEN_RECORD, METADATA_RECORD, SampledData, TensorData

from ..small_programs import Programs
from .conftest import EXACT, describe

SHAPE = (1, 3, 6, 7)


def write_program_file(programs: Programs, path: Path) -> Path:
    """Write `one` as an exporter would; what it computes was computed in float64, by hand."""
    program = programs["one"].read_bytes()
    inputs = np.random.default_rng(1).standard_normal((2, *SHAPE)).astype(np.float32)
    outputs = [programs.expected(x).astype(np.float32) for x in inputs]
    metadata: dict[str, Any] = describe(nn.Linear(1, 1), "tensor", [outputs[0]], dict(EXACT))
    metadata["input"] = {
        "kind": "tensor",
        "tensors": [{"name": "x", "shape": list(SHAPE), "dtype": "float32"}],
        "dynamic_batch": False,
    }
    metadata["output"]["labels"] = None
    metadata["produced_by"] = {
        "exporter": "tests", "torch": torch.__version__, "timm": None, "executorch": "1.3.1",
    }  # fmt: skip
    digest = hashlib.sha256(program).hexdigest()
    metadata |= {
        "schema_version": "2.1",
        "format": "pte",
        "program": {"bytes": len(program), "sha256": digest, "methods": ["forward"]},
    }
    golden = {
        "schema_version": "2.1",
        "tolerance": metadata["tolerance"],
        "cases": [
            {
                "name": f"case {index}",
                "inputs": [TensorData.of(x).model_dump(mode="json")],
                "expected": [SampledData.of(y).model_dump(mode="json")],
            }
            for index, (x, y) in enumerate(zip(inputs, outputs, strict=True))
        ],
    }
    path.write_bytes(program)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"archive/{METADATA_RECORD}", json.dumps(metadata))
        archive.writestr(f"archive/{GOLDEN_RECORD}", json.dumps(golden))
    return path
