from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from runtime_check.files import atomic_folder, file_sha256


def test_a_file_is_hashed_in_pieces(tmp_path: Path) -> None:
    data = bytes(range(256)) * 8200  # more than one read
    path = tmp_path / "file"
    path.write_bytes(data)
    assert file_sha256(path) == hashlib.sha256(data).hexdigest()


def test_atomic_folder_keeps_the_old_one_on_failure(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    with atomic_folder(target) as scratch:
        (scratch / "a").write_text("1")

    def fail() -> None:
        with atomic_folder(target) as scratch:
            (scratch / "a").write_text("2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (target / "a").read_text() == "1"
    with atomic_folder(target) as scratch:
        (scratch / "a").write_text("3")
    assert (target / "a").read_text() == "3"
    assert [p.name for p in tmp_path.iterdir()] == ["thing"]
