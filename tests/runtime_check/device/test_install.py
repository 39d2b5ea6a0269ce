from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime_check.device import toolchain
from runtime_check.device.cli import app
from runtime_check.device.errors import DeviceUnavailable, UnknownRuntime
from runtime_check.device.install import find_installed
from runtime_check.device.install import install as install_runtime
from runtime_check.device.toolchain import RUNTIMES


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    monkeypatch.setenv(toolchain.CACHE_VARIABLE, str(cache))
    return cache


def test_other_systems_are_told_so(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain.sys, "platform", "darwin")
    with pytest.raises(DeviceUnavailable, match="Linux only"):
        install_runtime("arm64-2.1.0")
    with pytest.raises(DeviceUnavailable, match="--run-on host"):
        find_installed("arm64-2.1.0")


def test_not_installed_names_the_command(empty_cache: Path) -> None:
    with pytest.raises(DeviceUnavailable, match="device install host"):
        find_installed("host")
    with pytest.raises(UnknownRuntime, match=r"there are arm64-2\.1\.0"):
        find_installed("arm64-9")


def test_status_for_machines(empty_cache: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert [entry["name"] for entry in found["runtimes"]] == list(RUNTIMES)
    assert not any(entry["installed"] for entry in found["runtimes"])


def test_status_for_people(host_runtime: str) -> None:
    result = CliRunner().invoke(app, ["status"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "ready" in result.stdout
