"""A model hub that lies in a folder, as `huggingface_hub` keeps what it has downloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

FillHub = Callable[[str, Mapping[str, bytes]], Path]


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FillHub:
    """Return what puts files of a repository into an otherwise empty cache; the hub is offline."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def fill(repository: str, files: Mapping[str, bytes]) -> Path:
        folder = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
        commit = "0123456789" * 4
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text(commit)
        snapshot = folder / "snapshots" / commit
        snapshot.mkdir(parents=True)
        for name, data in files.items():
            (snapshot / name).write_bytes(data)
        return snapshot

    return fill
