from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from runtime_check.bench import run
from runtime_check.bench.run import run_bench, this_device


@pytest.mark.timeout(300)
def test_files_and_peers_are_timed_side_by_side(image_ptl: Any, int8_ptl: Any) -> None:
    found = run_bench(
        [image_ptl.path, int8_ptl.path],
        against=["eager", "executorch"],
        threads=[1],
        rounds=4,
        trust_factory=True,
    )
    (device,) = found.devices
    assert [run.label for run in device.runs][:3] == ["image.ptl", "int8.ptl", "eager"]
    assert all(len(run.samples_ms) == 4 for run in device.runs)
    first = device.runs[0]
    assert first.load_ms is not None
    assert first.peak_mb is not None
    assert 0 < first.peak_mb < 500
    assert first.runtime.startswith("lite interpreter 2.")
    assert {run.label for run in device.runs} | {s.label for s in device.skipped} >= {"executorch"}


def test_a_peer_without_its_model_is_skipped_once_with_a_word(image_ptl: Any) -> None:
    found = run_bench([image_ptl.path], against=["eager"], threads=[1, 2], rounds=3)
    (skip,) = found.devices[0].skipped
    assert skip.label == "eager"
    assert "import code that the file chose" in skip.reason
    assert [run.threads for run in found.devices[0].runs] == [1, 2]


def test_the_bytes_that_were_signed_are_timed_and_reported(
    signed_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "swapped.ptl"
    original = signed_ptl.path.read_bytes()
    path.write_bytes(original)
    start = run._start

    def swap(*arguments: Any, **options: Any) -> Any:
        path.write_bytes(b"something else")
        return start(*arguments, **options)

    monkeypatch.setattr(run, "_start", swap)
    (device,) = run_bench([path], threads=[1], rounds=3, verify_key=signed_ptl.key).devices
    assert device.runs[0].sha256 == hashlib.sha256(original).hexdigest()
    assert device.runs[0].label == "swapped.ptl"


def test_this_machine_is_described() -> None:
    device = this_device()
    assert device.cores >= 1
    assert device.model
