"""Frames between this process and a child that runs an artifact: JSON header, then raw tensors.

Not pickle: a child that loaded a hostile file must not be able to hand one back. What it does hand
back is read as if the file had written it: every number has a bound, and is checked before memory
is taken for it.
Layout: uint32 header length, header (UTF-8 JSON with a `tensors` list), tensor bytes in C order.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from ..artifact.json_text import read_json
from ..artifact.limits import MAX_RANK

_LENGTH = struct.Struct("<I")
# 1000 tensors of rank 8 take 200 kB, and torch's longest messages some 100 kB.
MAX_HEADER = 2**20
MAX_TENSORS = 1000
# Of one answer. ImageNet-22k's logits for a batch of 32 are 3 MB, the masks of a segmentation
# network with 21 classes 22 MB at 512 x 512. A property looks at every value of some 20 answers.
MAX_ANSWER_BYTES = 64 * 2**20
# Of one question, which is ours: the largest input that metadata may state, several times.
MAX_QUESTION_BYTES = 4 * 2**30
DTYPES = frozenset(
    ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16",
     "float32", "float64", "complex64", "complex128")
)  # fmt: skip


def unsendable(tensors: Sequence[np.ndarray]) -> str:
    """Say why these tensors fit no frame; "" when they do."""
    if len(tensors) > MAX_TENSORS:
        return f"{len(tensors)} tensors, more than {MAX_TENSORS}"
    for tensor in tensors:
        if str(tensor.dtype) not in DTYPES:
            return f"a tensor of dtype {tensor.dtype}"
        if tensor.ndim > MAX_RANK:
            return f"a tensor with {tensor.ndim} dimensions, more than {MAX_RANK}"
    return ""


def write_frame(stream: IO[bytes], header: dict[str, Any], tensors: list[np.ndarray]) -> None:
    """Write one frame and flush it; `unsendable` has nothing against the tensors."""
    described = [{"shape": list(t.shape), "dtype": str(t.dtype)} for t in tensors]
    text = json.dumps({**header, "tensors": described}).encode()
    stream.write(_LENGTH.pack(len(text)))
    stream.write(text)
    for tensor in tensors:
        stream.write(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)
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


def _layout(entry: object) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Read one entry of `tensors`: its dtype and shape."""
    if not isinstance(entry, dict):
        raise ValueError("a tensor without a description")
    dtype, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"a tensor of dtype {str(dtype)[:40]!r}")
    if not isinstance(shape, list) or len(shape) > MAX_RANK:
        raise ValueError(f"a tensor whose shape is no list of at most {MAX_RANK} sizes")
    # `True` is an int to Python, and -1 is any size to NumPy.
    if not all(type(size) is int and 0 <= size < 2**63 for size in shape):
        raise ValueError("a tensor whose shape holds something else than sizes")
    return np.dtype(dtype), tuple(shape)


def read_frame(
    stream: IO[bytes], *, most: int = MAX_QUESTION_BYTES
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Read one frame with at most `most` bytes in its tensors, which are read-only.

    Raises `EOFError` when the other side is gone, and `ValueError` on nonsense, whatever was sent.
    """
    (size,) = _LENGTH.unpack(_read_exactly(stream, _LENGTH.size))
    if size > MAX_HEADER:
        raise ValueError(f"a header of {size} bytes, more than {MAX_HEADER}")
    header = read_json(_read_exactly(stream, size))
    entries = header.pop("tensors", None) if isinstance(header, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_TENSORS:
        raise ValueError(f"a header without a list of at most {MAX_TENSORS} tensors")
    layouts = [_layout(entry) for entry in entries]
    sizes = [dtype.itemsize * math.prod(shape) for dtype, shape in layouts]
    if sum(sizes) > most:
        raise ValueError(f"tensors of {sum(sizes)} bytes, more than {most}")
    return header, [
        _tensor(_read_exactly(stream, size), dtype, shape)
        for (dtype, shape), size in zip(layouts, sizes, strict=True)
    ]


def _tensor(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    # NumPy refuses shapes such as (0, 2**62, 2**62) itself, with ValueError.
    return np.frombuffer(data, dtype).reshape(shape)
