"""The ledger's last row: the saved file on torch 2.1.0's ARM64 build."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import exporter
from exporter.errors import UsageError, VerifyError
from exporter.pipeline import export
from exporter.quantization import QuantizeChoice
from exporter.samples import tensor_samples
from exporter.verify import verify_on_device
from runtime_check import device
from runtime_check.compare import Tolerance

RUNTIME = "arm64-2.1.0"
PHOTOS = Path(exporter.__file__).parent / "data" / "photos"
INT8 = QuantizeChoice(method="static", calibration=PHOTOS)


def installed() -> None:
    try:
        device.find_installed(RUNTIME)
    except device.DeviceUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.parametrize("choice", [None, INT8], ids=["fp32", "int8"])
def test_deit_tiny_has_a_device_row(choice: QuantizeChoice | None, tmp_path: Path) -> None:
    installed()
    artifact = export(
        "deit_tiny_patch16_224",
        random_weights=True,
        out=tmp_path,
        quantize=choice,
        device=RUNTIME,
        # Int8 of random weights is judged on the answers it has, not on rounded equal ones.
        activation="none",
    )
    row = artifact.report.ledger[-1]
    assert row.stage == f"on {RUNTIME}"
    assert row.ms is None, "an emulator's time is no phone's"
    assert "2.1.0" in row.note
    assert row.sqnr_db is not None
    if choice is None:
        assert row.sqnr_db > 90
    else:  # other requantisation roundings there, but no worse
        host = artifact.report.ledger[-2].sqnr_db
        assert host is not None
        assert abs(row.sqnr_db - host) < 1.5
    executed = [v for v in artifact.metadata.runtimes if v.how == "executed"]
    assert [v.runtime for v in executed] == [RUNTIME]
    assert artifact.metadata.ledger[-1].stage == row.stage


def test_a_runtime_that_is_not_there_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_CHECK_CACHE", str(tmp_path / "empty"))
    samples = tensor_samples((1, 3, 8, 8))
    with pytest.raises(UsageError, match=r"device install arm64-2\.1\.0"):
        verify_on_device(tmp_path / "any.ptl", samples, [], Tolerance(), RUNTIME)


@pytest.mark.parametrize(
    ("runtime", "cure"),
    [(RUNTIME, f"device install {RUNTIME}"), ("arm64-9.9", f"there are .*{re.escape(RUNTIME)}")],
    ids=["absent", "unknown"],
)
def test_it_is_missed_before_the_model_is_loaded(
    runtime: str, cure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_CHECK_CACHE", str(tmp_path / "empty"))
    steps: list[str] = []
    with pytest.raises(UsageError, match=cure) as caught:
        export("deit_tiny_patch16_224", out=tmp_path, device=runtime, on_step=steps.append)
    assert caught.value.exit_code == 2
    assert not steps


def test_a_file_that_does_not_run_there_is_not_kept(tmp_path: Path) -> None:
    installed()
    broken = tmp_path / "broken.ptl"
    broken.write_bytes(b"PK\x03\x04 nothing more")
    with pytest.raises(VerifyError, match=RUNTIME):
        verify_on_device(broken, tensor_samples((1, 3, 8, 8)), [], Tolerance(), RUNTIME)
