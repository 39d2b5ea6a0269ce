"""The bytes judged are the bytes reported."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

import runtime_check
from runtime_check import CheckOptions
from runtime_check.errors import UnreadableArtifact
from runtime_check.snapshot import MAX_BYTES, snapshot


def test_a_copy_is_private_hashed_and_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "a.ptl"
    path.write_bytes(b"PK" + b"x" * 3_000_000)
    with snapshot(path) as copy:
        assert copy.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        path.write_bytes(b"other")
        assert copy.path.read_bytes() == b"PK" + b"x" * 3_000_000
        assert copy.path.parent.stat().st_mode & 0o077 == 0
    assert not copy.path.exists()


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.ptl"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(UnreadableArtifact, match="not a plain file"), snapshot(path):
            pass
    with pytest.raises(UnreadableArtifact, match="cannot be copied"), snapshot(tmp_path):
        pass


def test_a_sparse_file_does_not_fill_the_disk(tmp_path: Path) -> None:
    huge = tmp_path / "huge.ptl"
    with huge.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(UnreadableArtifact, match="16 GiB, more than"), snapshot(huge):
        pass


def test_a_file_replaced_during_the_check_is_reported_as_it_was(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    path = tmp_path / "swapped.ptl"
    original = tensor_ptl.path.read_bytes()
    path.write_bytes(original)

    def swap(name: str) -> None:
        path.write_bytes(b"something else")

    options = CheckOptions(properties=("golden", "determinism"), examples=2)
    report = runtime_check.check(path, options, listener=swap)
    assert report.sha256 == hashlib.sha256(original).hexdigest()
    assert report.outcome == "replayed"
    assert report.artifact.path == path
