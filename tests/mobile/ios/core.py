"""The C++ core as an object, as Swift's `LiteFile` wraps it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...lite_core import CTensor, as_tensor, copy_results, take_message


class CoreError(Exception):
    """The message that the core gave."""


class Core:
    def __init__(self, lib: ctypes.CDLL) -> None:
        self.lib = lib

    @property
    def torch(self) -> str:
        version: bytes = self.lib.lite_torch_version()
        return version.decode()

    def open(self, path: Path) -> int:
        error = ctypes.c_void_p()
        model = self.lib.lite_open(str(path).encode(), error)
        if not model:
            raise CoreError(take_message(self.lib, error))
        assert not error.value
        return int(model)

    def close(self, model: int) -> None:
        self.lib.lite_close(model)

    def extra(self, model: int, name: str) -> bytes | None:
        data, size, error = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_void_p()
        status = self.lib.lite_extra(model, name.encode(), data, size, error)
        if status < 0:
            raise CoreError(take_message(self.lib, error))
        if status == 1:
            return None
        content = ctypes.string_at(data.value or 0, size.value)
        self.lib.lite_free(data)
        return content

    def forward(self, model: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        kept = [np.ascontiguousarray(array) for array in inputs]
        tensors = (CTensor * len(kept))(*map(as_tensor, kept))
        error = ctypes.c_void_p()
        result = self.lib.lite_forward(model, tensors, len(kept), error)
        if not result:
            raise CoreError(take_message(self.lib, error))
        outputs = copy_results(self.lib, result)
        self.lib.lite_result_free(result)
        return outputs
