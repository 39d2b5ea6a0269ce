"""A `.pte` read as data: written here by hand, byte by byte, from what the contract says."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from runtime_check.artifact.archive import read_artifact, read_bytecode
from runtime_check.artifact.program import is_program, is_pte
from runtime_check.errors import UnreadableArtifact

from ..conftest import describe

# A flatbuffer begins with an offset of four bytes, then its identifier.
PROGRAM = b"\x30\0\0\0ET12" + bytes(range(256)) * 9


def stated(program: bytes) -> dict[str, Any]:
    output = np.zeros((1, 3), np.float32)
    metadata = describe(nn.Linear(1, 1), "tensor", [output], {"atol": 0, "rtol": 0, "basis": "-"})
    metadata["output"]["labels"] = None
    metadata["produced_by"] = {"exporter": "tests", "torch": torch.__version__, "timm": None}
    metadata["produced_by"]["executorch"] = "1.3.1"
    digest = hashlib.sha256(program).hexdigest()
    metadata["program"] = {"bytes": len(program), "sha256": digest, "methods": ["forward"]}
    return {"schema_version": "2.1", "format": "pte", **metadata}


def write(path: Path, program: bytes, metadata: dict[str, Any], between: bytes = b"") -> Path:
    """The program, and behind it a zip whose offsets count from the start of the file."""
    tensor = {"shape": [1], "dtype": "float32", "data": "AAAAAA=="}
    golden = {
        "tolerance": metadata["tolerance"],
        "schema_version": "2.1",
        "cases": [{"name": "zero", "inputs": [tensor], "expected": [tensor]}],
    }
    path.write_bytes(program + between)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/extra/metadata.json", json.dumps(metadata))
        archive.writestr("archive/extra/golden.json", json.dumps(golden))
    return path


def test_program_and_records_are_found(tmp_path: Path) -> None:
    file = write(tmp_path / "a.pte", PROGRAM, stated(PROGRAM))
    artifact = read_artifact(file)
    assert artifact.program_bytes == len(PROGRAM)
    assert artifact.bytecode is None
    assert artifact.metadata.program is not None
    assert artifact.metadata.program.methods == ["forward"]
    assert [r.name for r in artifact.records] == ["extra/metadata.json", "extra/golden.json"]
    assert is_pte(file)


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: flip(data, 500), "its program is not the one that the metadata was written"),
        (lambda data: flip(data, len(PROGRAM) - 1), "its program is not the one"),
        (lambda data: data[: len(PROGRAM)], "without metadata and golden vectors behind it"),
        (lambda data: data[:-30], "without metadata and golden vectors behind it"),
        (lambda data: data[:20], "without metadata and golden vectors behind it"),
        (lambda data: data + b"\0", "without metadata and golden vectors behind it"),
        (lambda data: data[8:], "is not a zip archive"),
        # Other offsets than those of a zip behind so many bytes.
        (lambda data: PROGRAM[:16] + data, "is not the zip that torch or this exporter writes"),
        (lambda data: PROGRAM[:16] + data[len(PROGRAM) :], "is not the zip that torch or this"),
    ],
)
def test_damage_is_named(damage: Callable[[bytes], bytes], says: str, tmp_path: Path) -> None:
    file = write(tmp_path / "a.pte", PROGRAM, stated(PROGRAM))
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UnreadableArtifact, match=says):
        read_artifact(file)


def test_bytes_between_program_and_zip_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "a.pte", PROGRAM, stated(PROGRAM), between=b"a second program")
    with pytest.raises(UnreadableArtifact, match="its program is not the one"):
        read_artifact(file)


def test_parts_of_two_files_are_refused(tmp_path: Path) -> None:
    metadata = stated(PROGRAM)
    of_ptl = {**metadata, "format": "ptl", "program": None}
    with pytest.raises(UnreadableArtifact, match=r"is a \.pte, and its metadata is of a \.ptl"):
        read_artifact(write(tmp_path / "a.pte", PROGRAM, of_ptl))


@pytest.mark.parametrize(
    "changes",
    [
        {"program": None},
        {"format": "ptl"},
        {"program": {"bytes": 1, "sha256": "0" * 63, "methods": ["forward"]}},
        {"program": {"bytes": 1, "sha256": "0" * 64, "methods": ["run"]}},
    ],
)
def test_metadata_of_a_program_is_whole(changes: dict[str, Any], tmp_path: Path) -> None:
    file = write(tmp_path / "a.pte", PROGRAM, {**stated(PROGRAM), **changes})
    with pytest.raises(UnreadableArtifact, match="field `program"):
        read_artifact(file)


def test_it_has_no_bytecode(tmp_path: Path) -> None:
    with pytest.raises(UnreadableArtifact, match="without lite-interpreter bytecode"):
        read_bytecode(write(tmp_path / "a.pte", PROGRAM, stated(PROGRAM)))


def test_what_a_program_begins_with(tmp_path: Path) -> None:
    assert is_program(PROGRAM[:8])
    assert not is_program(b"PK\3\4\0\0\0\0")
    assert not is_program(b"")
    assert not is_pte(tmp_path / "nothing.pte")
