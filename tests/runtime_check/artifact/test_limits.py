"""No number in a file asks more of its reader than a real model does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime_check import RuntimeCheckError, UnreadableArtifact, read_artifact
from runtime_check.artifact.metadata import (
    GOLDEN_RECORD,
    METADATA_RECORD,
    Golden,
    Metadata,
    parse_golden,
    parse_metadata,
)
from runtime_check.testing.archives import with_records

PICTURE: list[tuple[str, Any]] = [
    ("input.min_side", 0),
    ("input.min_side", 4097),  # 16 megapixels and more
    ("input.min_side", 30_000),
    ("input.min_side", -1),
    ("input.min_side", 3000),  # above max_side, 2000
    ("input.max_side", 2**16 + 1),
    ("input.max_side", 7),
    ("input.max_aspect", 0),
    ("input.max_aspect", 2**70),
    ("preprocessing", None),
    ("preprocessing.in_graph", False),
    ("preprocessing.input_size", [3, 0, 32]),
    ("preprocessing.input_size", [3, -32, 32]),
    ("preprocessing.input_size", [3, 2**16, 2**16]),
    ("preprocessing.input_size", [1, 32, 32]),
    ("preprocessing.input_size", [3, 32]),
    ("preprocessing.crop_pct", 0),
    ("preprocessing.crop_pct", -1),
    ("preprocessing.crop_pct", 1e-9),
    ("preprocessing.crop_pct", 0.005),  # a photo resized to 6400 x 6400
    ("preprocessing.crop_pct", 33),  # a photo resized to nothing
    ("preprocessing.crop_pct", 1e9),
    ("preprocessing.interpolation", "zzz"),
    ("preprocessing.interpolation", "random"),
    ("preprocessing.mean", []),
    ("preprocessing.mean", [0.5, 0.5]),
    ("preprocessing.mean", [0.5] * 100_000),
    ("preprocessing.std", []),
    ("preprocessing.std", [0.5, 0.5, 0]),
    ("preprocessing.std", [0.5, 0.5, -1]),
]


def named(index: int) -> dict[str, Any]:
    return {"name": str(index), "shape": [1], "axes": ["N"]}


TENSOR: list[tuple[str, Any]] = [
    ("input.tensors", []),
    ("input.tensors.0.shape", [1, 3, 60_000, 60_000]),
    ("input.tensors.0.shape", [1, 3, -1, 4]),
    ("input.tensors.0.shape", [0, 3]),
    ("input.tensors.0.shape", [1] * 9),
    ("input.tensors", [{"name": str(i), "shape": [2**25]} for i in range(3)]),
    ("input.tensors", [{"name": str(i), "shape": [1]} for i in range(65)]),
    ("output.tensors.0.shape", [2**30]),
    ("output.tensors", [named(i) for i in range(65)]),
    ("output.labels", ["a"] * 100_001),
    ("output.labels", ["a" * 1001]),
    ("name", "a" * 1001),
    ("quantization.int8_layers", -1),
    ("quantization.int8_layers", 2**60),
    ("capture.reason", "a" * 100_001),
    ("produced_by.bytecode_version", 2**70),
    ("produced_by.bytecode_version", -1),
    ("operators", {"aten::add": -1}),
    ("operators", {"a" * 1001: 1}),
    ("provenance.model", "a" * 1001),
    ("provenance.seed", "abc"),
    ("provenance.seed", 2**63),
    ("provenance.seed", -(2**63) - 1),
    ("tolerance.atol", -1),
    ("tolerance.rtol", -1e-30),
    ("tolerance.step", 0),
    ("tolerance.step", -1),
    ("tolerance.flips", -0.1),
    ("tolerance.flips", 1.1),
    ("tolerance.outputs", [-1]),
    ("tolerance.outputs", [0.0] * 65),
    ("task", "astrology"),
    ("input.tensors", [{"name": "x", "shape": [1]}] * 2),
    ("input.tensors.0.low", 1.0),
    ("output.tensors", [named(0)] * 2),
    ("output.tensors.0.axes", ["N"]),
    ("output.tensors.0.holds", "gold"),
    ("output.added", [{"output": 1, "function": "softmax", "axis": 1}]),
    ("output.added", [{"output": 0, "function": "relu", "axis": 1}]),
]
GOLDEN: list[tuple[str, Any]] = [
    ("cases", []),
    ("cases.0.inputs.0.shape", [1] * 100),
    ("cases.0.inputs.0.shape", [2**40, 2**40]),
    ("cases.0.expected", [{"shape": [0], "dtype": "bool", "data": ""}] * 65),
    ("tolerance.atol", -1),
    ("tolerance.step", 0),
]


def changed(record: Metadata | Golden, field: str, value: Any) -> bytes:
    text = json.loads(record.model_dump_json())
    *path, last = (int(part) if part.isdigit() else part for part in field.split("."))
    inner = text
    for part in path:
        inner = inner[part]
    inner[last] = value
    return json.dumps(text).encode()


def assert_refused(field: str, text: bytes) -> None:
    parse = parse_metadata if b'"cases"' not in text else parse_golden
    with pytest.raises(UnreadableArtifact) as caught:
        parse(text)
    # The field, or the one it has to fit.
    assert field.split(".")[0] in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(("field", "value"), PICTURE, ids=lambda value: str(value)[:30])
def test_photos_are_bounded(field: str, value: Any, image_ptl: Any) -> None:
    assert_refused(field, changed(read_artifact(image_ptl.path).metadata, field, value))


@pytest.mark.parametrize(("field", "value"), TENSOR, ids=lambda value: str(value)[:30])
def test_tensors_and_all_else_are_bounded(field: str, value: Any, tensor_ptl: Any) -> None:
    assert_refused(field, changed(read_artifact(tensor_ptl.path).metadata, field, value))


@pytest.mark.parametrize(("field", "value"), GOLDEN, ids=lambda value: str(value)[:30])
def test_golden_vectors_are_bounded(field: str, value: Any, tensor_ptl: Any) -> None:
    assert_refused(field, changed(read_artifact(tensor_ptl.path).golden, field, value))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_no_number_is_infinite(number: str, image_ptl: Any) -> None:
    metadata = read_artifact(image_ptl.path).metadata
    for field in ("tolerance.atol", "tolerance.rtol", "tolerance.step", "preprocessing.crop_pct"):
        text = changed(metadata, field, "?").replace(b'"?"', number.encode())
        with pytest.raises(UnreadableArtifact, match=f"the number {number}"):
            parse_metadata(text)


def test_the_largest_that_is_read_is_read(tensor_ptl: Any, image_ptl: Any) -> None:
    metadata = read_artifact(tensor_ptl.path).metadata
    for field, value in (
        ("input.tensors.0.shape", [1, 3, 4096, 4096]),
        ("output.labels", ["a" * 30] * 100_000),
        ("provenance.seed", 2**63 - 1),
        ("tolerance.step", 1e-12),
    ):
        parse_metadata(changed(metadata, field, value))
    photo = read_artifact(image_ptl.path).metadata
    parse_metadata(changed(photo, "input.max_side", 2**16))
    parse_metadata(changed(photo, "preprocessing.crop_pct", 1.0))


@pytest.mark.parametrize(("record", "most"), [(METADATA_RECORD, 4), (GOLDEN_RECORD, 64)])
def test_records_are_bounded(record: str, most: int, tensor_ptl: Any, tmp_path: Path) -> None:
    content = bytes(range(256)) * (most * 2**12) + b"x"
    path = with_records(tensor_ptl.path, tmp_path / "large.ptl", {record: content})
    with pytest.raises(RuntimeCheckError, match=rf"{record} claims {len(content)} bytes"):
        read_artifact(path)
