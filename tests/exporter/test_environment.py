"""What the doctor says, and that an export refuses in the same words."""

from __future__ import annotations

from pathlib import Path

import pytest

import exporter
from exporter import environment
from exporter.errors import UnsuitableTorch


def test_doctor_on_a_torch_that_cannot() -> None:
    finding = environment.torch_finding("2.13.0")
    assert finding.ok is False
    assert "2.12" in finding.advice
    assert environment.torch_finding("2.5.1+cpu").ok is False
    assert environment.torch_finding("2.12.1+cu130").ok
    assert environment.xnnpack_finding(False).ok is False
    assert environment.engines_finding(["fbgemm"]).ok is False


def test_export_refuses_in_the_doctors_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.__version__", "2.13.0")
    with pytest.raises(UnsuitableTorch, match=r"torch 2.12 is the last"):
        exporter.export("test_vit", random_weights=True, out=tmp_path / "o")
    assert not (tmp_path / "o").exists()
