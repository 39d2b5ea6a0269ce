"""The C header of the core, declared for ctypes: what Swift sees, from Python."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np

DTYPES = (
    np.dtype(np.uint8), np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32),
    np.dtype(np.int64), np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.bool_),
)  # fmt: skip


class CTensor(ctypes.Structure):
    _fields_ = [
        ("dtype", ctypes.c_int),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("data", ctypes.c_void_p),
    ]


class CoreError(Exception):
    """The message that the core gave."""


class Core:
    def __init__(self, library: Path) -> None:
        text = ctypes.POINTER(ctypes.c_void_p)
        lib = ctypes.CDLL(str(library))
        lib.lite_torch_version.restype = ctypes.c_char_p
        lib.lite_open.restype = ctypes.c_void_p
        lib.lite_open.argtypes = [ctypes.c_char_p, text]
        lib.lite_close.argtypes = [ctypes.c_void_p]
        lib.lite_extra.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p, text, ctypes.POINTER(ctypes.c_size_t), text,
        ]  # fmt: skip
        lib.lite_forward.restype = ctypes.c_void_p
        lib.lite_forward.argtypes = [
            ctypes.c_void_p, ctypes.POINTER(CTensor), ctypes.c_size_t, text,
        ]  # fmt: skip
        lib.lite_result_count.restype = ctypes.c_size_t
        lib.lite_result_count.argtypes = [ctypes.c_void_p]
        lib.lite_result_tensor.restype = CTensor
        lib.lite_result_tensor.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        lib.lite_result_free.argtypes = [ctypes.c_void_p]
        lib.lite_free.argtypes = [ctypes.c_void_p]
        self.lib = lib

    @property
    def torch(self) -> str:
        version: bytes = self.lib.lite_torch_version()
        return version.decode()

    def _raise(self, error: ctypes.c_void_p) -> None:
        assert error.value, "a failure without a message"
        message = ctypes.string_at(error.value).decode()
        self.lib.lite_free(error)
        raise CoreError(message)

    def open(self, path: Path) -> int:
        error = ctypes.c_void_p()
        model = self.lib.lite_open(str(path).encode(), error)
        if not model:
            self._raise(error)
        assert not error.value
        return int(model)

    def close(self, model: int) -> None:
        self.lib.lite_close(model)

    def extra(self, model: int, name: str) -> bytes | None:
        data, size, error = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_void_p()
        status = self.lib.lite_extra(model, name.encode(), data, size, error)
        if status < 0:
            self._raise(error)
        if status == 1:
            return None
        content = ctypes.string_at(data.value or 0, size.value)
        self.lib.lite_free(data)
        return content

    def forward(self, model: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        kept = [np.ascontiguousarray(array) for array in inputs]
        tensors = (CTensor * len(kept))(
            *(
                CTensor(
                    DTYPES.index(array.dtype),
                    array.ndim,
                    (ctypes.c_int64 * array.ndim)(*array.shape),
                    array.ctypes.data,
                )
                for array in kept
            )
        )
        error = ctypes.c_void_p()
        result = self.lib.lite_forward(model, tensors, len(kept), error)
        if not result:
            self._raise(error)
        outputs = []
        for index in range(self.lib.lite_result_count(result)):
            view = self.lib.lite_result_tensor(result, index)
            shape = view.shape[: view.rank]
            dtype = DTYPES[view.dtype]
            raw = ctypes.string_at(view.data, dtype.itemsize * int(np.prod(shape)))
            outputs.append(np.frombuffer(raw, dtype).reshape(shape))
        self.lib.lite_result_free(result)
        return outputs
