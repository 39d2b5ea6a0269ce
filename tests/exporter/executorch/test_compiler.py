"""The compiler finds its own program, and what it is told is put back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exporter.environment import require_executorch
from exporter.executorch.compiler import compiler

pytest.importorskip("executorch", reason="ExecuTorch is an extra: pip install '.[executorch]'")


def test_the_version_is_one_that_goes_with_this_torch() -> None:
    assert require_executorch().startswith("1.3.")


def test_flatc_is_found_whatever_else_has_executorchs_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders without `__init__` merge: a checkout of executorch beside one's script, say."""
    (tmp_path / "executorch").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("FLATC_EXECUTABLE", raising=False)
    with compiler():
        assert Path(os.environ["FLATC_EXECUTABLE"]).is_file()
    assert "FLATC_EXECUTABLE" not in os.environ


def test_a_users_own_flatc_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLATC_EXECUTABLE", "mine")
    with compiler():
        assert os.environ["FLATC_EXECUTABLE"] == "mine"
    assert os.environ["FLATC_EXECUTABLE"] == "mine"
