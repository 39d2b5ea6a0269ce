"""What passes between a process and the child that runs a file: data, never objects."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest

from runtime_check.runtimes.frames import MAX_HEADER, read_frame, write_frame


def framed(header: object, data: bytes = b"") -> io.BytesIO:
    text = json.dumps(header).encode()
    return io.BytesIO(struct.pack("<I", len(text)) + text + data)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64", "bool"])
def test_what_is_written_is_read(dtype: str) -> None:
    tensors = [
        np.arange(6).reshape(2, 3).astype(dtype),
        np.zeros((0, 4), dtype),
        np.array(1, dtype),
    ]
    # Frames carry values, not strides.
    tensors.append(tensors[0].T)
    stream = io.BytesIO()
    write_frame(stream, {"do": "forward", "threads": 2}, tensors)
    stream.seek(0)
    header, read = read_frame(stream)
    assert header == {"do": "forward", "threads": 2}
    assert all(
        np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(tensors, read, strict=True)
    )


def test_the_layout_is_length_header_bytes() -> None:
    """Written by hand here, as the C++ runner writes it."""
    values = struct.pack("<2f", 1.5, -2.0)
    stream = framed({"ok": True, "tensors": [{"shape": [2], "dtype": "float32"}]}, values)
    header, (array,) = read_frame(stream)
    assert header == {"ok": True}
    assert array.tolist() == [1.5, -2.0]


def test_a_closed_pipe_is_told_from_nonsense() -> None:
    with pytest.raises(EOFError):
        read_frame(io.BytesIO())
    with pytest.raises(EOFError):
        read_frame(framed({"tensors": [{"shape": [2], "dtype": "float32"}]}, b"\0" * 7))


@pytest.mark.parametrize(
    ("shape", "dtype"), [([2**40], "float32"), ([-1], "float32"), ([1], "object")]
)
def test_a_child_cannot_hand_back_objects_or_floods(shape: list[int], dtype: str) -> None:
    with pytest.raises(ValueError, match="a tensor of"):
        read_frame(framed({"tensors": [{"shape": shape, "dtype": dtype}]}, b"\0" * 64))


def test_a_header_has_a_limit() -> None:
    with pytest.raises(ValueError, match="header"):
        read_frame(io.BytesIO(struct.pack("<I", MAX_HEADER + 1)))
