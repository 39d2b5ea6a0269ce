"""Instruction counts: only where a runtime can count, and each file once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from exporter.compare import count
from exporter.compare.count import count_instructions, counting_runtimes
from exporter.compare.result import COUNTED, read_count
from exporter.errors import UsageError
from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.install import find_installed
from runtime_check.files import file_sha256

from ...artifacts import Models


@pytest.fixture
def none_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise DeviceUnavailable(f"The device runtime {name} is not installed.")

    monkeypatch.setattr(count, "find_installed", missing)


@pytest.mark.usefixtures("none_installed")
def test_without_a_runtime_counts_stay_blank_unless_they_are_demanded() -> None:
    found, missing = counting_runtimes(("ptl", "pte"), None)
    assert found == {}
    assert [text.split()[3] for text in missing] == ["arm64-2.1.0", "arm64-executorch"]
    with pytest.raises(UsageError, match=r"--count: The device runtime arm64-2\.1\.0"):
        counting_runtimes(("ptl",), True)
    assert counting_runtimes(("ptl",), False) == ({}, ["Instructions were not asked for."])


def test_each_format_has_its_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> SimpleNamespace:
        lacks = name == "arm64-executorch"
        return SimpleNamespace(plugin=None if lacks else Path("x"), plugin_reason="no compiler")

    monkeypatch.setattr(count, "find_installed", installed)
    found, missing = counting_runtimes(("ptl", "pte"), None)
    assert found == {"ptl": "arm64-2.1.0"}
    assert missing == ["arm64-executorch cannot count here: no compiler."]


def test_a_count_is_kept_and_one_that_fails_is_not(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.ptl").write_bytes(models.fp32.read_bytes())
    calls = []

    def run(path: Path, inputs: object, *, runtime: str, count: bool) -> SimpleNamespace:
        calls.append(path)
        if len(calls) == 1:
            raise DeviceUnavailable("gone")
        return SimpleNamespace(instructions=(123,))

    monkeypatch.setattr(count, "run_on_device", run)
    assert count_instructions(tmp_path, "net.ptl", "arm64-2.1.0").reason == "gone"
    assert not (tmp_path / COUNTED).exists()
    for _ in range(2):
        assert count_instructions(tmp_path, "net.ptl", "arm64-2.1.0").instructions == 123
    assert len(calls) == 2
    assert read_count(tmp_path, "arm64-2.1.0", file_sha256(tmp_path / "net.ptl")) is not None


@pytest.mark.slow
def test_a_real_count(models: Models, tmp_path: Path) -> None:
    try:
        find_installed("arm64-2.1.0")
    except DeviceUnavailable as error:
        pytest.skip(str(error))
    (tmp_path / "net.ptl").write_bytes(models.fp32.read_bytes())
    found = count_instructions(tmp_path, "net.ptl", "arm64-2.1.0")
    assert found.instructions is not None
    assert 100e6 < found.instructions < 400e6
