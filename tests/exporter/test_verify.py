"""The saved file against eager: here, and on torch 2.1.0's ARM64 build."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_models import (
    ConvNormNet,
)

import exporter
from exporter.api import export
from exporter.errors import UsageError, VerifyError
from exporter.image.preprocess import Preprocess
from exporter.image.samples import tensor_samples
from exporter.verify import verify
from runtime_check.artifact.metadata import InputTensor, Preprocessing
from runtime_check.comparison import Tolerance
from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.install import find_installed
from runtime_check.device.runner import run_on_device
from runtime_check.runtime import Runtime
from runtime_check.runtimes.lite import load_lite
from runtime_check.runtimes.run import Run

from ..lite import write_lite

SHAPE = (1, 3, 32, 32)


class Off:
    """A runtime whose outputs are all a tenth off."""

    def __init__(self, real: Runtime) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def forward(self, inputs: Any, **options: Any) -> Run:
        run = self.real.forward(inputs, **options)
        return replace(run, outputs=[output + 0.1 for output in run.outputs])


def test_verification_failure_is_exit_code_1_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that computes something else after saving must not survive."""
    import exporter.verify as step

    real = step.open_runtime

    @contextmanager
    def off(*arguments: Any, **options: Any) -> Iterator[Off]:
        with real(*arguments, **options) as loaded:
            yield Off(loaded)

    monkeypatch.setattr(step, "open_runtime", off)
    with pytest.raises(VerifyError, match="differs from eager") as caught:
        exporter.export(ConvNormNet(), out=tmp_path / "o", input_shape=SHAPE)
    assert caught.value.exit_code == 1
    assert not (tmp_path / "o").exists()


def test_unverified_says_so(tmp_path: Path) -> None:
    artifact = exporter.export(ConvNormNet(), out=tmp_path, input_shape=SHAPE, verify=False)
    assert "NOT VERIFIED" in artifact.metadata.ledger[-1].note
    assert artifact.metadata.ledger[-1].max_abs is None


RUNTIME = "arm64-2.1.0"
PHOTOS = Path(exporter.__file__).parent / "data" / "photos"


def installed() -> None:
    try:
        find_installed(RUNTIME)
    except DeviceUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.parametrize("quantize", [None, "static"], ids=["fp32", "int8"])
def test_deit_tiny_has_a_device_row(quantize: str | None, tmp_path: Path) -> None:
    installed()
    artifact = export(
        "deit_tiny_patch16_224",
        random_weights=True,
        out=tmp_path,
        quantize=quantize,
        calibration=PHOTOS if quantize else None,
        run_on=RUNTIME,
        # Int8 of random weights is judged on the answers it has, not on rounded equal ones.
        activation="none",
    )
    row = artifact.report.ledger[-1]
    assert row.stage == f"on {RUNTIME}"
    assert row.ms is None, "an emulator's time is not a phone's"
    assert "2.1.0" in row.note
    assert row.sqnr_db is not None
    if quantize is None:
        assert row.sqnr_db > 90
    else:  # other requantization roundings there, but no worse
        host = artifact.report.ledger[-2].sqnr_db
        assert host is not None
        assert abs(row.sqnr_db - host) < 1.5
    executed = [v for v in artifact.metadata.runtimes if v.how == "executed"]
    assert [v.runtime for v in executed] == [RUNTIME]
    assert artifact.metadata.ledger[-1].stage == row.stage


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(97, 131), (700, 300), (40, 1000)])
def test_a_phone_sees_the_same_pixels(
    interpolation: str, size: tuple[int, int], tmp_path: Path
) -> None:
    """Noise of all sorts of sizes, to the bit: in Python, in the file here, and on ARM64."""
    installed()
    spec = Preprocessing(
        input_size=(3, 96, 64),
        interpolation=interpolation,
        crop_pct=0.875,
        crop_mode="center",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        in_graph=True,
    )
    module = Preprocess(spec, min_side=8, max_side=2000)
    write_lite(module, path := tmp_path / "pixels.ptl")
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    with torch.inference_mode():
        wanted = module(torch.from_numpy(noise)).numpy()
        here = load_lite(path)(torch.from_numpy(noise)).numpy()
    assert np.array_equal(here, wanted)
    (answer,) = run_on_device(path, [[noise]], runtime=RUNTIME, extras=()).outputs
    assert np.array_equal(answer[0], wanted)


def test_a_runtime_that_is_not_there_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_CHECK_CACHE", str(tmp_path / "empty"))
    samples = tensor_samples([InputTensor(name="x", shape=[1, 3, 8, 8])])
    with pytest.raises(UsageError, match=r"device install arm64-2\.1\.0"):
        verify(tmp_path / "any.ptl", samples, [], Tolerance(), runtime=RUNTIME)


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
        export("deit_tiny_patch16_224", out=tmp_path, run_on=runtime, on_step=steps.append)
    assert caught.value.exit_code == 2
    assert not steps


def test_a_file_that_does_not_run_there_is_not_kept(tmp_path: Path) -> None:
    installed()
    broken = tmp_path / "broken.ptl"
    broken.write_bytes(b"PK\x03\x04 nothing more")
    with pytest.raises(VerifyError, match=RUNTIME):
        verify(
            broken,
            tensor_samples([InputTensor(name="x", shape=[1, 3, 8, 8])]),
            [],
            Tolerance(),
            runtime=RUNTIME,
        )
