from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.install import find_installed
from runtime_check.device.runner import open_runner, run_on_device
from runtime_check.errors import RuntimeCheckError, UnreadableArtifact
from runtime_check.runtimes.lite import load_lite, write_lite
from runtime_check.runtimes.run import ChildDied, ForwardError

from .conftest import SavedModel


def _host_lite(model: SavedModel) -> list[np.ndarray]:
    import torch

    module = load_lite(model.path)
    return [module(*[torch.from_numpy(a) for a in model.inputs]).numpy()]


def test_core_gives_the_bits_python_gives(host_runtime: str, float_model: SavedModel) -> None:
    run = run_on_device(float_model.path, [float_model.inputs] * 3, runtime=host_runtime)
    (expected,) = _host_lite(float_model)
    assert len(run.outputs) == 3
    for (actual,) in run.outputs:
        assert np.array_equal(actual, expected)
    assert np.allclose(expected, float_model.eager[0], atol=1e-5)
    assert run.extras == {"metadata.json": '{"name": "Größe"}'.encode()}
    assert run.load_seconds > 0
    assert len(run.seconds) == 3
    assert run.instructions is None
    assert run.runtime.startswith("torch ")


def test_extras_absent_and_empty(host_runtime: str, float_model: SavedModel) -> None:
    with open_runner(host_runtime) as session:
        session.load(float_model.path)
        assert session.engine == "qnnpack"
        assert session.extra("empty") == b""
        assert session.extra("no such") is None


def test_types_nesting_and_untouched_inputs(host_runtime: str, many_model: Path) -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    index = np.array([-1, 0, 5])
    before = image.copy()
    with open_runner(host_runtime) as session:
        session.load(many_model)
        first = session.forward([image, index]).outputs
        assert [o.dtype.name for o in first] == [
            "float32", "bool", "float64", "int64", "int64", "float32"
        ]  # fmt: skip
        assert np.allclose(first[0], image.transpose(2, 0, 1) / 255)
        assert first[1].tolist() == [False, False, True]
        assert first[4].shape == ()
        assert np.array_equal(image, before)
        # The same process answers again, also after an error.
        with pytest.raises(ForwardError, match="must be H x W x 3"):
            session.forward([image[None], index])
        with pytest.raises(ForwardError):
            session.forward([image])
        with pytest.raises(ForwardError, match="complex64"):
            session.forward([np.zeros(3, np.complex64), index])
        again = session.forward([image, index]).outputs
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_bad_shape_is_a_sentence(host_runtime: str, float_model: SavedModel) -> None:
    for shape in ((), (0,), (5,), (3, 4)):
        with pytest.raises(ForwardError, match="forward failed"):
            run_on_device(float_model.path, [[np.zeros(shape, np.float32)]], runtime=host_runtime)


def _damaged(model: SavedModel, folder: Path) -> dict[str, Path]:
    content = model.path.read_bytes()
    flipped = bytearray(content)
    for at in np.random.default_rng(3).integers(0, len(content), 400):
        flipped[at] ^= 0xFF
    files = {
        "missing": None,
        "empty": b"",
        "truncated": content[: len(content) // 2],
        "flipped": bytes(flipped),
        "text": b"this is no model\n" * 100,
        "folder": None,
    }
    paths = {}
    for name, data in files.items():
        paths[name] = folder / f"{name}.ptl"
        if data is not None:
            paths[name].write_bytes(data)
    paths["folder"].mkdir()
    return paths


@pytest.mark.parametrize("kind", ["missing", "empty", "truncated", "flipped", "text", "folder"])
def test_files_that_do_not_load(
    kind: str, host_runtime: str, float_model: SavedModel, tmp_path: Path
) -> None:
    path = _damaged(float_model, tmp_path)[kind]
    with (
        open_runner(host_runtime) as session,
        pytest.raises((UnreadableArtifact, ChildDied), match=kind),
    ):
        session.load(path)


def test_memory_limit_holds(host_runtime: str, many_model: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("address-space limits are enforced on Linux only")
    big = np.zeros((4000, 4000, 3), np.uint8)
    with open_runner(host_runtime, memory=100 * 2**20) as session:
        session.load(many_model)
        with pytest.raises((ForwardError, ChildDied)):
            session.forward([big, np.array([1])])


def test_a_hang_is_stopped(host_runtime: str, float_model: SavedModel, tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs a named pipe to hang on")
    pipe = tmp_path / "never.ptl"
    os.mkfifo(pipe)
    started = time.monotonic()
    with (
        open_runner(host_runtime, timeout=3) as session,
        pytest.raises(ChildDied, match="still loading after 3 s"),
    ):
        session.load(pipe)
    assert time.monotonic() - started < 30


def test_a_crash_is_named(host_runtime: str, float_model: SavedModel) -> None:
    import signal

    with open_runner(host_runtime) as session:
        session.load(float_model.path)
        os.kill(session._worker.process.pid, signal.SIGSEGV)
        with pytest.raises(ChildDied, match=f"signal {int(signal.SIGSEGV)}"):
            session.forward(float_model.inputs)


def test_unknown_engine_is_refused(host_runtime: str, float_model: SavedModel) -> None:
    with (
        open_runner(host_runtime) as session,
        pytest.raises(UnreadableArtifact, match="no quantized engine called nonsense"),
    ):
        session.load(float_model.path, engine="nonsense")


def test_counting_needs_an_emulated_runtime(host_runtime: str, float_model: SavedModel) -> None:
    with pytest.raises(DeviceUnavailable, match="cannot count"):
        run_on_device(float_model.path, [float_model.inputs], runtime=host_runtime, count=True)


def test_arm_float_equals_host(arm_runtime: str, float_model: SavedModel) -> None:
    run = run_on_device(float_model.path, [float_model.inputs] * 2, runtime=arm_runtime)
    (expected,) = _host_lite(float_model)
    for (actual,) in run.outputs:
        assert actual.shape == expected.shape
        assert np.abs(actual - expected).max() < 1e-5 * max(1.0, np.abs(expected).max())
    assert run.extras["metadata.json"] == '{"name": "Größe"}'.encode()
    assert run.runtime == "torch 2.1.0 aarch64 (qemu cortex-a76)"


def test_arm_int8_is_within_steps_of_host(arm_runtime: str, int8_model: SavedModel) -> None:
    run = run_on_device(int8_model.path, [int8_model.inputs], runtime=arm_runtime)
    (expected,) = _host_lite(int8_model)
    (actual,) = run.outputs[0]
    # Requantization rounds differently in 2.1.0, so steps, not bits.
    steps = np.abs(actual - expected).max() / int8_model.step
    print(f"int8, ARM against host: {steps:.2f} steps")
    assert steps <= 4
    assert np.array_equal(actual.argmax(1), expected.argmax(1))


def test_arm_counts_repeat(arm_runtime: str, float_model: SavedModel) -> None:
    if find_installed(arm_runtime).plugin is None:
        pytest.skip(find_installed(arm_runtime).plugin_reason)
    runs = [
        run_on_device(float_model.path, [float_model.inputs], runtime=arm_runtime, count=True)
        for _ in range(2)
    ]
    first, second = (run.instructions[0] for run in runs if run.instructions)
    assert 100_000 < first < 50_000_000
    assert abs(first - second) / first < 0.005
    with pytest.raises(RuntimeCheckError, match="threads=1"):
        run_on_device(
            float_model.path, [float_model.inputs], runtime=arm_runtime, count=True, threads=2
        )


def test_arm_refuses_what_2_1_0_lacks(arm_runtime: str, tmp_path: Path) -> None:
    import torch
    from torch import nn

    class New(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.rms_norm(x, [4])

    path = tmp_path / "new.ptl"
    write_lite(torch.jit.script(New()), path)
    with pytest.raises(UnreadableArtifact, match="aten::rms_norm"):
        run_on_device(path, [[np.ones((2, 4), np.float32)]], runtime=arm_runtime)


@pytest.mark.parametrize("kind", ["missing", "truncated", "flipped"])
def test_arm_files_that_do_not_load(
    kind: str, arm_runtime: str, float_model: SavedModel, tmp_path: Path
) -> None:
    path = _damaged(float_model, tmp_path)[kind]
    with pytest.raises((UnreadableArtifact, ChildDied), match=kind):
        run_on_device(path, [float_model.inputs], runtime=arm_runtime)


@pytest.mark.parametrize("runtime", ["x86-2.1.0", "arm64-1.13.1"])
def test_other_runtimes_agree_where_installed(
    runtime: str, float_model: SavedModel, int8_model: SavedModel
) -> None:
    try:
        find_installed(runtime)
    except DeviceUnavailable as error:
        pytest.skip(str(error))
    for model in (float_model, int8_model):
        run = run_on_device(model.path, [model.inputs], runtime=runtime)
        (expected,) = _host_lite(model)
        assert np.abs(run.outputs[0][0] - expected).max() <= max(1e-5, 4 * model.step)
    assert runtime.rpartition("-")[2] in run.runtime


def test_two_threads_agree(host_runtime: str, float_model: SavedModel) -> None:
    one = run_on_device(float_model.path, [float_model.inputs], runtime=host_runtime)
    two = run_on_device(float_model.path, [float_model.inputs], runtime=host_runtime, threads=2)
    assert np.allclose(one.outputs[0][0], two.outputs[0][0], atol=1e-6)


def test_a_larger_cache_misses_less(float_model: SavedModel, arm_runtime: str) -> None:
    """The same instructions, and the fewer lines fetched the larger the modeled cache."""
    seen = []
    for size in (16 * 1024, 8 * 1024 * 1024):
        with open_runner(arm_runtime, count=True, cache=size) as session:
            session.load(float_model.path)
            seen.append(session.forward(float_model.inputs, repeats=2))
    small, large = seen
    assert small.instructions == large.instructions
    assert small.cache_misses is not None
    assert large.cache_misses is not None
    assert small.cache_misses > large.cache_misses > 0
