"""Rung 3: the core for ARM64 with the pod's version of torch, and linked as Apple's Mach-O."""

from __future__ import annotations

import importlib.util
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from runtime_check.device.cores import EXECUTORCH
from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.install import find_installed
from runtime_check.device.toolchain import cache_root

from ...artifacts import Models
from .tools import MACOS_EXECUTORCH, MACOS_WHEEL, NATIVE, Absent, ensure_macos

# The C API as an executable: the same calls that LiteFile.swift makes.
MAIN = """
#include <stdio.h>
#include "lite_core.h"
int main(int argc, char **argv) {
  char *error = NULL, *data = NULL;
  size_t size = 0;
  lite_set_threads(1, NULL);
  lite_model *model = lite_open(argc > 1 ? argv[1] : "", &error);
  lite_extra(model, "metadata.json", &data, &size, NULL);
  lite_result *result = lite_forward(model, NULL, 0, NULL);
  lite_tensor tensor = lite_result_tensor(result, lite_result_count(result));
  printf("%s %s %d\\n", lite_torch_version(), error ? error : "", tensor.rank);
  lite_result_free(result);
  lite_free(data);
  lite_free(error);
  lite_close(model);
  return 0;
}
"""


@pytest.mark.parametrize("which", ["fp32", "int8"])
def test_shipped_files_pass_on_the_pods_version_for_arm64(models: Models, which: str) -> None:
    """The runner is `lite_core.cpp` cross-built against torch 2.1.0, under qemu as a Cortex-A76."""
    try:
        installed = find_installed("arm64-2.1.0")
    except DeviceUnavailable as error:
        pytest.skip(str(error))
    assert installed.runtime.version == "2.1.0"
    done = subprocess.run(
        [
            sys.executable, "-m", "runtime_check", str(getattr(models, which)),
            "--run-on", "arm64-2.1.0", "-p", "golden",
        ],
        capture_output=True, text=True, timeout=500, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "golden" in done.stdout


@pytest.fixture(scope="module")
def macos_torch() -> Path:
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("no cross compiler for Apple: pip install ziglang")
    try:
        return ensure_macos(MACOS_WHEEL)
    except Absent as error:
        pytest.skip(str(error))


def zig(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # zig builds Apple's libc++ at the first link, a minute of work worth keeping.
    env = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache_root() / "zig")}
    return subprocess.run(
        [sys.executable, "-m", "ziglang", *arguments],
        cwd=cwd, env=env, capture_output=True, text=True, timeout=550, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def objects(macos_torch: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The core and its caller, compiled for Apple's arm64 against torch 2.1.0's headers."""
    folder = tmp_path_factory.mktemp("apple")
    (folder / "main.c").write_text(MAIN, encoding="ascii")
    target = ("-target", "aarch64-macos.11.0", "-O1", f"-I{NATIVE}")
    include = macos_torch / "include"
    core = zig(
        "c++", *target, "-std=c++17", "-w", f"-I{include}",
        f"-I{include}/torch/csrc/api/include", "-c", str(NATIVE / "lite_core.cpp"),
        "-o", "core.o", cwd=folder,
    )  # fmt: skip
    assert core.returncode == 0, core.stderr[-3000:]
    caller = zig("cc", *target, "-Wall", "-Werror", "-c", "main.c", "-o", "main.o", cwd=folder)
    assert caller.returncode == 0, caller.stderr
    return folder


def test_it_links_as_an_apple_arm64_program(objects: Path, macos_torch: Path) -> None:
    """Every symbol is found: an undefined one is a link error, see the next test."""
    linked = zig(
        "c++", "-target", "aarch64-macos.11.0", "core.o", "main.o", f"-L{macos_torch / 'lib'}",
        "-ltorch_cpu", "-lc10", "-o", "program", cwd=objects,
    )  # fmt: skip
    assert linked.returncode == 0, linked.stderr[-3000:]
    require_apple_arm64(objects / "program")


def require_apple_arm64(program: Path) -> None:
    magic, cpu, _, kind = struct.unpack("<IIII", program.read_bytes()[:16])
    assert magic == 0xFEEDFACF, "not a 64-bit Mach-O"
    assert cpu == 0x0100000C, "not arm64"
    assert kind == 2, "not an executable"


def test_the_core_for_executorch_links_for_apple_too(objects: Path) -> None:
    """The same caller, the same C functions, and no torch."""
    try:
        root = ensure_macos(MACOS_EXECUTORCH)
    except Absent as error:
        pytest.skip(str(error))
    target = ("-target", "aarch64-macos.11.0", "-O1")
    built = []
    for name in EXECUTORCH.sources:
        built.append(f"{name}.o")
        done = zig(
            "c++", *target, f"-std={EXECUTORCH.standard}", "-w", f"-I{NATIVE}",
            *(f"-D{word}" for word in EXECUTORCH.definitions),
            *(f"-I{root / folder}" for folder in EXECUTORCH.includes),
            "-c", str(NATIVE / name), "-o", built[-1], cwd=objects,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
    linked = zig(
        "c++", *target, *built, "main.o", f"-L{root / 'lib'}",
        *(f"-l{name}" for name in EXECUTORCH.libraries), "-o", "executorch", cwd=objects,
    )  # fmt: skip
    assert linked.returncode == 0, linked.stderr[-3000:]
    require_apple_arm64(objects / "executorch")


def test_without_torch_the_link_names_what_is_missing(objects: Path, macos_torch: Path) -> None:
    linked = zig(
        "c++", "-target", "aarch64-macos.11.0", "core.o", "main.o", f"-L{macos_torch / 'lib'}",
        "-lc10", "-o", "incomplete", cwd=objects,
    )  # fmt: skip
    assert linked.returncode != 0
    assert "undefined symbol" in linked.stderr
    assert "mobile" in linked.stderr
