"""Frames between this process and a child that runs an artifact: JSON header, then raw tensors.

Not pickle: a child that loaded a hostile file must not be able to hand one back.
Layout: uint32 header length, header (UTF-8 JSON with a `tensors` list), tensor bytes in C order.
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any

import numpy as np

_LENGTH = struct.Struct("<I")
MAX_HEADER = 16 * 2**20
MAX_TENSOR_BYTES = 4 * 2**30


def write_frame(stream: IO[bytes], header: dict[str, Any], tensors: list[np.ndarray]) -> None:
    """Write one frame and flush it."""
    described = [{"shape": list(t.shape), "dtype": str(t.dtype)} for t in tensors]
    text = json.dumps({**header, "tensors": described}).encode()
    stream.write(_LENGTH.pack(len(text)))
    stream.write(text)
    for tensor in tensors:
        stream.write(np.ascontiguousarray(tensor).tobytes())
    stream.flush()


def _read_exactly(stream: IO[bytes], size: int) -> bytes:
    parts = []
    while size:
        part = stream.read(size)
        if not part:
            raise EOFError("the other side closed the pipe")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_frame(stream: IO[bytes]) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Read one frame; raise `EOFError` when the other side is gone, `ValueError` on nonsense."""
    (size,) = _LENGTH.unpack(_read_exactly(stream, _LENGTH.size))
    if size > MAX_HEADER:
        raise ValueError(f"a frame header of {size} bytes")
    header = json.loads(_read_exactly(stream, size))
    tensors = []
    for entry in header.pop("tensors"):
        dtype = np.dtype(str(entry["dtype"]))
        shape = tuple(int(n) for n in entry["shape"])
        size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        if dtype.hasobject or not 0 <= size <= MAX_TENSOR_BYTES:
            raise ValueError(f"a tensor of {size} bytes, {dtype}")
        tensors.append(np.frombuffer(_read_exactly(stream, size), dtype).reshape(shape))
    return header, tensors
