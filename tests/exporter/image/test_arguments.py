"""Saved arguments of several inputs: read by name, and refused with what is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exporter.errors import CalibrationError
from exporter.image.arguments import read_arguments
from runtime_check.artifact.metadata import InputTensor

TAKES = (
    InputTensor(name="x", shape=[1, 2, 3]),
    InputTensor(name="mask", shape=[4], dtype="int64"),
)
X = np.arange(30, dtype=np.float32).reshape(5, 2, 3)
MASK = np.arange(20).reshape(5, 4)


def written(folder: Path, name: str = "a.npz", **arrays: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / name, **arrays)
    return folder / name


@pytest.mark.parametrize("x", [X, X[:, None]], ids=["along the first axis", "an axis more"])
def test_several_in_a_row_are_read_in_the_order_of_forward(x: np.ndarray, tmp_path: Path) -> None:
    found = read_arguments(written(tmp_path, mask=MASK.astype(np.int32), x=x), TAKES, limit=9)
    assert len(found) == 5
    for index, (first, second) in enumerate(found):
        assert torch.equal(first, torch.from_numpy(X[index : index + 1]))
        assert torch.equal(second, torch.from_numpy(MASK[index]))
        assert second.dtype == torch.int64


def test_a_folder_gives_from_all_over_it(tmp_path: Path) -> None:
    written(tmp_path / "in", "a.npz", x=X[:1], mask=MASK[0])
    written(tmp_path / "in" / "more", "b.npz", x=X.astype(np.float64), mask=MASK)
    (tmp_path / "in" / "photo.png").write_bytes(b"not read")
    found = read_arguments(tmp_path / "in", TAKES, limit=3)
    assert [int(x[0, 0, 0]) for x, _ in found] == [0, 6, 18]
    assert all(x.dtype == torch.float32 for x, _ in found)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": X}, r"a\.npz holds x\. Give .*x 1,2,3 \(float32\), mask 4 \(int64\)"),
        ({"x": X, "mask": MASK, "z": X}, r"a\.npz holds x, mask, z\. Give"),
        ({"x": X, "mask": MASK[:3]}, r"holds 5 of x, 3 of mask; there must be as many"),
        ({"x": X[:, :, :2], "mask": MASK}, r"array 'x', has the shape 5,2,2\. Give"),
        ({"x": np.float32(1), "mask": MASK}, r"array 'x', has the shape of one number"),
        ({"x": X[:0], "mask": MASK}, r"array 'x', has the shape 0,2,3"),
        ({"x": X.astype(int), "mask": MASK}, r"array 'x', is of int64, and forward takes float32"),
        ({"x": X, "mask": MASK.astype(float)}, r"'mask', is of float64, and forward takes int64"),
        ({"x": X * np.nan, "mask": MASK}, r"array 'x', holds NaN or infinity"),
        ({"x": 1e300 + X.astype(float), "mask": MASK}, r"array 'x', holds NaN or infinity"),
    ],
)
def test_what_is_no_set_of_arguments_is_refused(
    arrays: dict[str, Any], says: str, tmp_path: Path
) -> None:
    path = written(tmp_path, **arrays)
    with pytest.raises(CalibrationError, match=says):
        read_arguments(path, TAKES, limit=9)


def test_whole_numbers_beyond_the_dtype_are_refused(tmp_path: Path) -> None:
    takes = (InputTensor(name="x", shape=[2], dtype="uint8"),)
    assert read_arguments(written(tmp_path, x=np.array([0, 255])), takes, limit=1)
    with pytest.raises(CalibrationError, match="numbers that are no uint8"):
        read_arguments(written(tmp_path, x=np.array([0, 256])), takes, limit=1)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04rubbish"])
def test_files_that_cannot_be_read_are_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CalibrationError, match=r"a\.npz is .*numpy\.savez"):
        read_arguments(path, TAKES, limit=1)


def test_pickled_objects_are_never_read(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}, None], dtype=object)
    with pytest.raises(CalibrationError):
        read_arguments(written(tmp_path, x=objects, mask=MASK), TAKES, limit=1)
