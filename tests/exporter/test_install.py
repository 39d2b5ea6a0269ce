"""Copies for the apps."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import UsageError
from exporter.install import install, models_folder


def test_install_refuses_other_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither an Android"):
        models_folder(tmp_path)
    (tmp_path / "Podfile").touch()
    source = tmp_path / "x.ptl"
    source.write_bytes(b"x")
    source.chmod(0o644)
    installed = install(source, tmp_path)
    assert installed == tmp_path / "Models" / "x.ptl"
    assert installed.stat().st_mode & 0o777 == 0o644, "others build the app too"
