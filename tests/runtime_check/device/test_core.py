"""The C++ core through its C header alone, as Swift sees it (ctypes), without the runner."""

from __future__ import annotations

import ctypes
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ...lite_core import CTensor, as_tensor, copy_results, take_message
from .conftest import SavedModel


def _tensor(array: np.ndarray, **changes: Any) -> CTensor:
    tensor = as_tensor(array)
    for name, value in changes.items():
        setattr(tensor, name, value)
    return tensor


def _forward(core: ctypes.CDLL, model: int, *inputs: CTensor) -> np.ndarray | str:
    error = ctypes.c_void_p()
    result = core.lite_forward(model, (CTensor * len(inputs))(*inputs), len(inputs), error)
    if not result:
        return take_message(core, error)
    assert not error.value
    (output,) = copy_results(core, result)
    assert output.dtype == np.float32
    assert core.lite_result_tensor(result, 1).data is None
    core.lite_result_free(result)
    return output


def test_open_extra_forward_close(core: ctypes.CDLL, float_model: SavedModel) -> None:
    import torch

    assert core.lite_torch_version().decode() == torch.__version__.split("+")[0]
    error = ctypes.c_void_p()
    model = core.lite_open(str(float_model.path).encode(), error)
    assert model, take_message(core, error)
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
    assert "no path" in take_message(core, error)
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
    assert "1 to 1024" in take_message(core, error)
    assert core.lite_set_engine(None, error) == -1
    assert "NULL" in take_message(core, error)
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
        assert take_message(core, error)

    for _ in range(200):
        once()
    before = _resident()
    for _ in range(1000):
        once()
    grown = _resident() - before
    assert grown < 8 * 2**20, f"{grown / 2**20:.1f} MB over 1000 rounds"
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    assert descriptors < 200
