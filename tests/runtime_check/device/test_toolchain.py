"""Wheels and tools: unpacked whole or not at all, missing ones named."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from runtime_check.device import toolchain
from runtime_check.device.errors import DeviceUnavailable, InstallFailed
from runtime_check.device.install import install as install_runtime
from runtime_check.device.install import status
from runtime_check.device.toolchain import RUNTIMES, Wheel, ensure_wheel
from runtime_check.files import file_sha256


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    monkeypatch.setenv(toolchain.CACHE_VARIABLE, str(cache))
    return cache


def _wheel(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in (
            "torch/lib/libc10.so",
            "torch/lib/libtorch_python.so",
            "torch/include/ATen/ATen.h",
            "torch.libs/libgomp.so",
            "torch/nn/__init__.py",
            "executorch/lib/libexecutorch.so",
            "executorch/lib/libexecutorch_backend_qnn.so",
            "executorch/lib/cmake/executorch-config.cmake",
            "executorch/include/executorch/runtime/core/error.h",
            "executorch/exir/__init__.py",
        ):
            archive.writestr(name, name)


@pytest.fixture
def fake_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Wheel:
    """A pip that leaves a small wheel behind; the returned description has its true hash."""
    sample = tmp_path / "sample.whl"
    _wheel(sample)

    def run(command: list[str], *, doing: str, timeout: float) -> None:
        (wanted,) = [word for word in command if "==" in word]
        assert wanted in ("torch==9.9", "executorch==9.9")
        name = f"{wanted.replace('==', '-')}-cp311-cp311-none.whl"
        Path(command[command.index("--dest") + 1], name).write_bytes(sample.read_bytes())

    monkeypatch.setattr(toolchain, "_run", run)
    return Wheel(version="9.9", python="3.11", platform="none", sha256=file_sha256(sample))


def test_a_wheel_is_unpacked_without_its_python(empty_cache: Path, fake_pip: Wheel) -> None:
    said: list[str] = []
    folder = ensure_wheel(fake_pip, said.append)
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert files == ["torch.libs/libgomp.so", "torch/include/ATen/ATen.h", "torch/lib/libc10.so"]
    assert any("SHA-256 verified" in line for line in said)
    said.clear()
    assert ensure_wheel(fake_pip, said.append) == folder
    assert not said  # nothing to do the second time


def test_of_executorch_what_a_runner_needs(empty_cache: Path, fake_pip: Wheel) -> None:
    folder = ensure_wheel(replace(fake_pip, package="executorch"), lambda text: None)
    assert folder.parent.name == "executorch"
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert files == [
        "executorch/include/executorch/runtime/core/error.h",
        "executorch/lib/libexecutorch.so",
    ]


def test_a_wrong_hash_leaves_nothing(empty_cache: Path, fake_pip: Wheel) -> None:
    wrong = Wheel(version="9.9", python="3.11", platform="none", sha256="0" * 64)
    with pytest.raises(InstallFailed, match="not the file this was made for"):
        ensure_wheel(wrong, lambda text: None)
    assert not [p for p in empty_cache.rglob("*") if p.is_file()]
    assert not (empty_cache / "torch").exists()


def test_missing_packages_are_named(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain.sys, "platform", "linux")
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None)
    with pytest.raises(DeviceUnavailable, match=r"apt-get install .*qemu-user g\+\+-aarch64"):
        install_runtime("arm64-2.1.0")
    (arm, *_) = status(["arm64-2.1.0"])
    assert not arm.installed
    assert "apt-get install" in arm.detail


def test_pins_are_sha256() -> None:
    wheels = [r.wheel for r in RUNTIMES.values() if r.wheel] + [toolchain.WHEEL_1_12_1]
    assert len({wheel.filename for wheel in wheels}) == len(wheels)
    for wheel in wheels:
        assert len(bytes.fromhex(wheel.sha256)) == hashlib.sha256().digest_size
