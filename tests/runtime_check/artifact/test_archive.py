"""Files that are not artifacts, or not whole, are refused with a sentence."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime_check import RuntimeCheckError, UnreadableArtifact, read_artifact
from runtime_check.artifact.metadata import GOLDEN_RECORD, METADATA_RECORD
from runtime_check.runtimes.host import open_host
from runtime_check.runtimes.lite import write_lite
from runtime_check.testing.archives import (
    lying_bomb,
    with_records,
    zip_bomb,
)


def refused(path: Path) -> str:
    with pytest.raises(RuntimeCheckError) as caught:
        read_artifact(path)
    message = str(caught.value)
    assert path.name in message
    assert len(message) < 600
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.ptl", b"", "is empty"),
        ("random.ptl", bytes(range(256)) * 40, "not a zip archive"),
        ("program.pte", b"\x00\x00\x00\x00ET12" + b"\0" * 64, "ExecuTorch program"),
        ("flat.ptl", b"\x00\x00\x00\x00PTMF" + b"\0" * 64, "flatbuffer"),
        ("old.pt", b"\x80\x02}q\x00." * 9, "is a pickle"),
    ],
)
def test_wrong_formats_are_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert words in refused(path)


def test_torchscript_and_checkpoints_are_named(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.ReLU()).save(str(tmp_path / "script.pt"))
    assert "TorchScript" in refused(tmp_path / "script.pt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "weights.pth")
    assert "without lite-interpreter bytecode" in refused(tmp_path / "weights.pth")
    refused_absent = tmp_path / "absent.ptl"
    with pytest.raises(UnreadableArtifact, match="There is no file"):
        read_artifact(refused_absent)


def test_a_plain_lite_file_is_not_an_artifact(tmp_path: Path) -> None:
    path = tmp_path / "plain.ptl"
    write_lite(torch.jit.script(torch.nn.ReLU()), path)
    assert "not made by this exporter" in refused(path)


def test_a_file_that_torch_2_13_made() -> None:
    """Made by torch 2.13.0 for real: Conv2d(3, 4, 3), ReLU, Flatten, Linear(144, 5), seed 0.

    2.13 cannot optimize for XNNPACK, so it is a plain file; this torch runs it, but nobody can
    say what it should compute.
    """
    path = Path(__file__).parents[2] / "data" / "torch-2.13.ptl"
    with pytest.raises(UnreadableArtifact, match="not made by this exporter"):
        read_artifact(path)
    with open_host(path) as session:
        (output,) = session.forward([np.zeros((1, 3, 8, 8), np.float32)]).outputs
    assert output.shape == (1, 5)
    assert np.isfinite(output).all()


def test_zip_bombs_are_not_unpacked(tmp_path: Path) -> None:
    assert "zip bomb" in refused(zip_bomb(tmp_path / "bomb.ptl"))
    assert "damaged" in refused(lying_bomb(tmp_path / "lying.ptl", megabytes=64))


def test_two_records_of_one_name_are_refused(tensor_ptl: Any, tmp_path: Path) -> None:
    path = tmp_path / "double.ptl"
    path.write_bytes(tensor_ptl.path.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].split("/")[0]
        # torch finds records without regard to case, so this one could be what it reads.
        archive.writestr(f"{root}/BYTECODE.PKL", b"another program")
    assert "two records of the same name" in refused(path)


def test_a_flipped_bit_in_a_weight_is_seen(tensor_ptl: Any, tmp_path: Path) -> None:
    data = bytearray(tensor_ptl.path.read_bytes())
    with zipfile.ZipFile(tensor_ptl.path) as archive:
        info = max(
            (i for i in archive.infolist() if ".storage" in i.filename), key=lambda i: i.file_size
        )
    data[info.header_offset + 200] ^= 1
    path = tmp_path / "flipped.ptl"
    path.write_bytes(bytes(data))
    assert "Bad CRC-32" in refused(path)


@pytest.mark.parametrize("record", [METADATA_RECORD, GOLDEN_RECORD, "bytecode.pkl"])
@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[" * 100_000, b"\xff\xfe", b"{}"])
def test_damaged_records_are_named(
    tensor_ptl: Any, tmp_path: Path, record: str, content: bytes
) -> None:
    path = with_records(tensor_ptl.path, tmp_path / "a.ptl", {record: content})
    with pytest.raises(UnreadableArtifact):
        read_artifact(path)


def test_a_missing_record_is_named(tensor_ptl: Any, tmp_path: Path) -> None:
    path = with_records(tensor_ptl.path, tmp_path / "a.ptl", {GOLDEN_RECORD: None})
    assert "golden.json" in refused(path)
