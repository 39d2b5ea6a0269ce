"""`format=`: which options go with which file, and where there is no compiler for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

import exporter
from exporter.errors import ExportError, UsageError
from exporter.options import ExportOptions
from runtime_check.runtimes import program


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"targets": ("pytorch-1.13",)}, "--target"),
        ({"capture": "trace"}, "--capture"),
        ({"allow_specialization": True}, "--allow-specialization"),
    ],
)
def test_options_of_the_lite_interpreter_alone(given: dict[str, Any], option: str) -> None:
    with pytest.raises(ExportError, match=f"`{option}` has no meaning for `--format pte`"):
        ExportOptions(format="pte", **given)
    assert ExportOptions(**given).demanded


def test_targets_are_those_of_the_format() -> None:
    assert ExportOptions().demanded == ("pytorch-2.1.0",)
    assert ExportOptions(format="pte").demanded == ()
    with pytest.raises(UsageError, match="name at least one"):
        ExportOptions(targets=())


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"format .*ptl, pte"):
        exporter.export(nn.Linear(2, 2), format="onnx", out=tmp_path)  # type: ignore[arg-type]  # as a user may


def test_without_executorch_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> str:
        raise program.PackageNotFoundError(name)

    monkeypatch.setattr(program, "version", absent)
    with pytest.raises(UsageError, match=r"--format pte: ExecuTorch is not installed.*pip install"):
        exporter.export(nn.Linear(2, 2), format="pte", input_shape=(1, 2), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_executorch_for_another_torch_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "version", lambda _: "1.5.1")
    with pytest.raises(UsageError, match=r"ExecuTorch 1.3, and 1.5.1 is installed"):
        exporter.export(nn.Linear(2, 2), format="pte", input_shape=(1, 2), out=tmp_path)
