"""The C header of the C++ core, declared for ctypes: what Swift sees, from Python."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from runtime_check.device.install import _host_torch
from runtime_check.device.toolchain import NATIVE, compile_program

# In the header's order.
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


def build_core(folder: Path) -> ctypes.CDLL:
    """Build the core against the installed torch and declare its functions."""
    import torch  # noqa: F401  its libraries must be mapped before ours needs them

    root, _, flags = _host_torch()
    library = folder / "liblite_core.so"
    compile_program(
        [NATIVE / "lite_core.cpp"],
        library,
        arch="native",
        root=root,
        flags=["-shared", "-fPIC", *flags],
    )
    text = ctypes.POINTER(ctypes.c_void_p)
    lib = ctypes.CDLL(str(library))
    lib.lite_torch_version.restype = ctypes.c_char_p
    lib.lite_engine.restype = ctypes.c_char_p
    lib.lite_set_threads.argtypes = [ctypes.c_int32, text]
    lib.lite_set_engine.argtypes = [ctypes.c_char_p, text]
    lib.lite_open.restype = ctypes.c_void_p
    lib.lite_open.argtypes = [ctypes.c_char_p, text]
    lib.lite_close.argtypes = [ctypes.c_void_p]
    lib.lite_extra.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, text, ctypes.POINTER(ctypes.c_size_t), text,
    ]  # fmt: skip
    lib.lite_forward.restype = ctypes.c_void_p
    lib.lite_forward.argtypes = [ctypes.c_void_p, ctypes.POINTER(CTensor), ctypes.c_size_t, text]
    lib.lite_result_count.restype = ctypes.c_size_t
    lib.lite_result_count.argtypes = [ctypes.c_void_p]
    lib.lite_result_tensor.restype = CTensor
    lib.lite_result_tensor.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    lib.lite_result_free.argtypes = [ctypes.c_void_p]
    lib.lite_free.argtypes = [ctypes.c_void_p]
    lib.lite_dtype_size.restype = ctypes.c_size_t
    return lib


def take_message(lib: ctypes.CDLL, error: ctypes.c_void_p) -> str:
    """Read and free the message of a call that failed."""
    assert error.value, "a failure without a message"
    message = ctypes.string_at(error.value).decode()
    lib.lite_free(error)
    return message


def as_tensor(array: np.ndarray) -> CTensor:
    """Show a contiguous array to the core; it must outlive the call."""
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    return CTensor(DTYPES.index(array.dtype), array.ndim, shape, array.ctypes.data)


def copy_results(lib: ctypes.CDLL, result: int) -> list[np.ndarray]:
    """Copy all tensors of a result that is still to be freed."""
    outputs = []
    for index in range(lib.lite_result_count(result)):
        view = lib.lite_result_tensor(result, index)
        shape = view.shape[: view.rank]
        dtype = DTYPES[view.dtype]
        raw = ctypes.string_at(view.data, dtype.itemsize * int(np.prod(shape)))
        outputs.append(np.frombuffer(raw, dtype).reshape(shape))
    return outputs
