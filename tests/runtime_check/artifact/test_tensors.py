"""Golden tensors: bytes that fit their shape, and nothing else."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from runtime_check import UnreadableArtifact
from runtime_check.artifact.tensors import TensorData, TensorSpec


def data(raw: bytes, shape: list[int], dtype: str) -> TensorData:
    text = base64.b64encode(raw).decode()
    return TensorData.model_validate({"shape": shape, "dtype": dtype, "data": text})


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array([True, False]),
        np.array(7, np.int64),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_an_array_comes_back(array: np.ndarray) -> None:
    back = TensorData.of(array).array()
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


@pytest.mark.parametrize(
    ("raw", "shape", "dtype"),
    [
        (b"1234", [2], "float32"),
        (b"1234", [2, 2, 2], "uint8"),
        (b"", [1], "int64"),
        (b"\0\1\2", [3], "bool"),
    ],
)
def test_other_bytes_are_refused(raw: bytes, shape: list[int], dtype: str) -> None:
    with pytest.raises(UnreadableArtifact, match=r"holds .* bytes"):
        data(raw, shape, dtype).array()


@pytest.mark.parametrize(
    "shape", [[1] * 100, [1] * 9, [2**26 + 1], [2**40, 2**40], [0, 2**62], [-1], [-1, -1], [1.5]]
)
def test_shapes_without_bounds_are_refused(shape: Any) -> None:
    for model in (TensorData, TensorSpec):
        with pytest.raises(ValidationError):
            model.model_validate({"shape": shape, "dtype": "uint8", "data": ""})


def test_the_largest_shapes_pass() -> None:
    assert TensorSpec(shape=[1] * 8).shape == [1] * 8
    assert TensorSpec(shape=[2**26]).shape == [2**26]
