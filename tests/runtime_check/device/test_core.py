"""The C++ core through its C header alone, as Swift sees it (ctypes), without the runner."""

from __future__ import annotations

import ctypes
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.install import _host_torch
from runtime_check.device.toolchain import NATIVE, compile_program, require_tools

from .conftest import SavedModel


class Tensor(ctypes.Structure):
    _fields_ = [
        ("dtype", ctypes.c_int),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("data", ctypes.c_void_p),
    ]


UINT8, FLOAT32 = 0, 5


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    try:
        require_tools("native")
    except DeviceUnavailable as error:
        pytest.skip(str(error))
    import torch  # noqa: F401  its libraries must be mapped before ours needs them

    root, _, flags = _host_torch()
    library = tmp_path_factory.mktemp("core") / "liblite_core.so"
    compile_program(
        [NATIVE / "lite_core.cpp"],
        library,
        arch="native",
        torch_root=root,
        flags=["-shared", "-fPIC", *flags],
    )
    lib = ctypes.CDLL(str(library))
    lib.lite_torch_version.restype = ctypes.c_char_p
    lib.lite_engine.restype = ctypes.c_char_p
    lib.lite_open.restype = ctypes.c_void_p
    lib.lite_open.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
    lib.lite_close.argtypes = [ctypes.c_void_p]
    lib.lite_extra.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p),
        ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_void_p),
    ]  # fmt: skip
    lib.lite_forward.restype = ctypes.c_void_p
    lib.lite_forward.argtypes = [
        ctypes.c_void_p, ctypes.POINTER(Tensor), ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p),
    ]  # fmt: skip
    lib.lite_result_count.restype = ctypes.c_size_t
    lib.lite_result_count.argtypes = [ctypes.c_void_p]
    lib.lite_result_tensor.restype = Tensor
    lib.lite_result_tensor.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    lib.lite_result_free.argtypes = [ctypes.c_void_p]
    lib.lite_free.argtypes = [ctypes.c_void_p]
    lib.lite_set_threads.argtypes = [ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p)]
    lib.lite_set_engine.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
    lib.lite_dtype_size.restype = ctypes.c_size_t
    return lib


def _take(core: ctypes.CDLL, error: ctypes.c_void_p) -> str:
    assert error.value, "a failure without a message"
    text = ctypes.string_at(error.value).decode()
    core.lite_free(error)
    return text


def _tensor(array: np.ndarray, dtype: int = FLOAT32, **changes: Any) -> Tensor:
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    tensor = Tensor(dtype, array.ndim, shape, array.ctypes.data)
    for name, value in changes.items():
        setattr(tensor, name, value)
    return tensor


def _forward(core: ctypes.CDLL, model: int, *inputs: Tensor) -> np.ndarray | str:
    error = ctypes.c_void_p()
    result = core.lite_forward(model, (Tensor * len(inputs))(*inputs), len(inputs), error)
    if not result:
        return _take(core, error)
    assert not error.value
    assert core.lite_result_count(result) == 1
    view = core.lite_result_tensor(result, 0)
    assert view.dtype == FLOAT32
    shape = view.shape[: view.rank]
    raw = ctypes.string_at(view.data, 4 * int(np.prod(shape)))
    assert core.lite_result_tensor(result, 1).data is None
    core.lite_result_free(result)
    return np.frombuffer(raw, np.float32).reshape(shape)


def test_open_extra_forward_close(core: ctypes.CDLL, float_model: SavedModel) -> None:
    import torch

    assert core.lite_torch_version().decode() == torch.__version__.split("+")[0]
    error = ctypes.c_void_p()
    model = core.lite_open(str(float_model.path).encode(), error)
    assert model, _take(core, error)
    assert core.lite_engine() == b"qnnpack"
    data, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert core.lite_extra(model, b"metadata.json", data, size, error) == 0
    assert ctypes.string_at(data.value or 0, size.value).decode() == '{"name": "Größe"}'
    core.lite_free(data)
    assert core.lite_extra(model, b"nothing", data, size, error) == 1
    output = _forward(core, model, _tensor(float_model.inputs[0]))
    assert isinstance(output, np.ndarray)
    assert np.allclose(output, float_model.eager[0], atol=1e-5)
    core.lite_close(model)


def test_every_misuse_is_an_error_not_a_crash(core: ctypes.CDLL, float_model: SavedModel) -> None:
    error = ctypes.c_void_p()
    assert not core.lite_open(None, error)
    assert "no path" in _take(core, error)
    assert not core.lite_open(b"/nowhere/at/all.ptl", None)  # the message may be declined
    model = core.lite_open(str(float_model.path).encode(), error)
    image = float_model.inputs[0]
    null_shape = ctypes.POINTER(ctypes.c_int64)()
    huge = (ctypes.c_int64 * 4)(2**40, 2**40, 2**40, 1)
    negative = (ctypes.c_int64 * 4)(1, 3, -4, 4)
    for tensor, expected in (
        (_tensor(image, dtype=99), "unknown dtype"),
        (_tensor(image, rank=-1), "impossible rank"),
        (_tensor(image, rank=4000), "impossible rank"),
        (_tensor(image, shape=null_shape), "impossible rank"),
        (_tensor(image, shape=huge), "impossible size"),
        (_tensor(image, shape=negative), "negative extent"),
        (_tensor(image, data=None), "no data"),
    ):
        answer = _forward(core, model, tensor)
        assert isinstance(answer, str)
        assert expected in answer
        assert "input 0" in answer
    assert isinstance(_forward(core, model), str)
    assert isinstance(_forward(core, model, _tensor(image), _tensor(image)), str)
    assert "no model" in str(_forward(core, 0, _tensor(image)))
    assert core.lite_set_threads(0, error) == -1
    assert "1 to 1024" in _take(core, error)
    assert core.lite_set_engine(None, error) == -1
    assert "NULL" in _take(core, error)
    assert core.lite_dtype_size(99) == 0
    for nothing in (core.lite_close, core.lite_result_free, core.lite_free):
        nothing(None)
    assert core.lite_result_count(None) == 0
    # After all that the model still works.
    assert isinstance(_forward(core, model, _tensor(image)), np.ndarray)
    core.lite_close(model)


def test_threads_share_a_model(core: ctypes.CDLL, float_model: SavedModel) -> None:
    model = core.lite_open(str(float_model.path).encode(), None)
    expected = _forward(core, model, _tensor(float_model.inputs[0]))
    wrong: list[object] = []

    def work() -> None:
        for _ in range(50):
            answer = _forward(core, model, _tensor(float_model.inputs[0]))
            if not np.array_equal(answer, expected):
                wrong.append(answer)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    core.lite_close(model)
    assert not wrong


def _resident() -> int:
    statm = Path("/proc/self/statm").read_text(encoding="ascii")
    return int(statm.split()[1]) * 4096


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_thousand_opens_do_not_grow(
    core: ctypes.CDLL, float_model: SavedModel, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.ptl"
    content = float_model.path.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    data, size = ctypes.c_void_p(), ctypes.c_size_t()

    def once() -> None:
        model = core.lite_open(str(float_model.path).encode(), None)
        assert core.lite_extra(model, b"metadata.json", data, size, None) == 0
        core.lite_free(data)
        assert isinstance(_forward(core, model, _tensor(float_model.inputs[0])), np.ndarray)
        core.lite_close(model)
        error = ctypes.c_void_p()
        assert not core.lite_open(str(broken).encode(), error)
        assert _take(core, error)

    for _ in range(200):
        once()
    before = _resident()
    for _ in range(1000):
        once()
    grown = _resident() - before
    assert grown < 8 * 2**20, f"{grown / 2**20:.1f} MB over 1000 rounds"
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    assert descriptors < 200
