"""Which core runs a file, by its first bytes; and what a core is built from."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime_check.device.cores import CORES, EXECUTORCH, LITE, core_for, core_of
from runtime_check.device.errors import OtherFormat
from runtime_check.device.runner import DeviceSession, open_runner
from runtime_check.device.toolchain import NATIVE, RUNTIMES

from ...small_programs import Programs
from .conftest import SavedModel


def test_the_first_bytes_tell(small_programs: Programs, float_model: SavedModel) -> None:
    assert core_for(float_model.path.read_bytes()[:8]) is LITE
    assert core_for(small_programs["one"].read_bytes()[:8]) is EXECUTORCH
    for neither in (b"", b"PK", b"ET12", b"\0" * 8, b"\x18\0\0\0ET"):
        assert core_for(neither) is None


def test_the_sources_are_there_and_include_what_is_listed() -> None:
    for core in CORES:
        assert core_of(core.package) is core
        included = set()
        for name in core.sources:
            lines = (NATIVE / name).read_text(encoding="utf-8").splitlines()
            included |= {line.split('"')[1] for line in lines if line.startswith('#include "')}
        # A header that is not listed could change without a new build.
        assert included == set(core.headers)
    for runtime in RUNTIMES.values():
        assert runtime.wheel is None or core_of(runtime.wheel.package) is runtime.core


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a session asks its runner, but for the question whether it is up."""
    asked: list[str] = []
    ask = DeviceSession._ask

    def listening(session: DeviceSession, doing: str, *rest: object) -> object:
        if doing != "starting":
            asked.append(doing)
        return ask(session, doing, *rest)

    monkeypatch.setattr(DeviceSession, "_ask", listening)
    return asked


def test_a_lite_file_is_not_given_to_executorch(
    native_executorch: str, float_model: SavedModel, silent: list[str]
) -> None:
    with open_runner(native_executorch) as session, pytest.raises(OtherFormat) as refused:
        session.load(float_model.path)
    assert str(refused.value) == (
        f"{float_model.path} is a lite-interpreter file (.ptl), and x86-executorch runs .pte "
        "files: use --run-on arm64-2.1.0, or export it with --format pte."
    )
    assert not silent


def test_a_program_is_not_given_to_torch(
    host_runtime: str, small_programs: Programs, silent: list[str], tmp_path: Path
) -> None:
    # By what is in it: a name is no evidence.
    path = tmp_path / "renamed.ptl"
    path.write_bytes(small_programs["one"].read_bytes())
    with open_runner(host_runtime) as session, pytest.raises(OtherFormat) as refused:
        session.load(path)
    assert str(refused.value) == (
        f"{path} is a program for ExecuTorch (.pte), and host runs .ptl files: use --run-on "
        "arm64-executorch, or export it with --format ptl."
    )
    assert not silent
