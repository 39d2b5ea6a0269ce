"""Rung 1: :core on the JVM, against the shared fixtures and against Python on drawn images."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

import exporter
from exporter.package.keys import make_keys

from .conftest import RunTool

Kotlin = subprocess.Popen[bytes]


def test_junit_passes_on_the_shared_fixtures(run_tool: RunTool) -> None:
    result = run_tool("junit_core.py")
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert "OK (" in result.stdout


@pytest.fixture(scope="module")
def kotlin(tools: None) -> Iterator[Kotlin]:
    from compile import core_classpath, joined
    from junit_core import compile_core_tests
    from libraries import classes

    classpath = joined([compile_core_tests(), classes("core"), *core_classpath()])
    command = ["java", "-cp", classpath, "dev.torchmobile.core.ServerKt"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.stdin.close()


def _kotlin_bytes(
    process: Kotlin, argb: np.ndarray, orientation: int, channels: int = 3
) -> np.ndarray:
    height, width = argb.shape
    head = struct.pack(">iiii", width, height, orientation, channels)
    request = head + argb.astype(">u4").tobytes()
    process.stdin.write(request)
    process.stdin.flush()
    new_height, new_width = struct.unpack(">ii", process.stdout.read(8))
    data = process.stdout.read(new_height * new_width * channels)
    return np.frombuffer(data, np.uint8).reshape(new_height, new_width, channels)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    orientation=st.integers(1, 8),
    mode=st.sampled_from(["RGB", "L", "RGBA"]),
    data=st.data(),
)
def test_the_model_gets_the_bytes_python_would_give_it(
    kotlin: Kotlin, height: int, width: int, orientation: int, mode: str, data: st.DataObject
) -> None:
    raw = data.draw(st.binary(min_size=4 * height * width, max_size=4 * height * width))
    rgba = np.frombuffer(raw, np.uint8).reshape(height, width, 4)
    # As Android's Bitmap.getPixels hands a decoded picture out: 0xAARRGGBB.
    wide = rgba.astype(np.uint32)
    argb = wide[..., 3] << 24 | wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    picture = Image.fromarray(rgba).convert(mode)
    picture.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture)).reshape(
        *(picture.size if orientation > 4 else picture.size[::-1]), len(mode)
    )
    assert np.array_equal(_kotlin_bytes(kotlin, argb, orientation, len(mode)), expected)


def test_the_comparison_can_fail(kotlin: Kotlin) -> None:
    argb = np.array([[0xFF000000, 0xFFFFFFFF]], np.uint32)
    assert not np.array_equal(_kotlin_bytes(kotlin, argb, 2), _kotlin_bytes(kotlin, argb, 1))


def test_a_file_that_the_exporter_signed_is_vouched_for(tools: None, tmp_path: Path) -> None:
    from compile import core_classpath, joined
    from junit_core import compile_core_tests
    from libraries import classes

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    keys = make_keys(tmp_path / "release")
    signed = exporter.export(net, out=tmp_path / "a", input_shape=(1, 3, 8, 8), sign=keys.secret)
    plain = exporter.export(net, out=tmp_path / "b", input_shape=(1, 3, 8, 8))
    classpath = joined([compile_core_tests(), classes("core"), *core_classpath()])
    done = subprocess.run(
        ["java", "-cp", classpath, "dev.torchmobile.core.VouchKt", keys.key.line,
         str(signed.path), str(plain.path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["signed", "unsigned"]
