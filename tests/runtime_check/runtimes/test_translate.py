"""Torch's own failures, provoked, become sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime_check import UnreadableArtifact
from runtime_check.artifact.bytecode import parse_bytecode
from runtime_check.runtimes.host import HostSession, start_host
from runtime_check.runtimes.lite import write_lite
from runtime_check.runtimes.run import ForwardError
from runtime_check.testing.archives import records_of, with_records

X = [np.zeros((1, 3, 32, 32), np.float32)]


PHOTO = [np.zeros((40, 40, 3), np.uint8)]


@pytest.fixture(scope="module")
def session() -> Any:
    with start_host(timeout=60) as started:
        yield started


def load(session: HostSession, path: Path, engine: str = "qnnpack") -> None:
    session.load(path=path, engine=engine, threads=1, memory=0)


def replaced(source: Path, target: Path, old: bytes, new: bytes) -> Path:
    changed = {
        name: data.replace(old, new) for name, data in records_of(source).items() if old in data
    }
    assert changed
    return with_records(source, target, dict(changed))


def test_unknown_operator(session: HostSession, tensor_ptl: Any, tmp_path: Path) -> None:
    path = replaced(tensor_ptl.path, tmp_path / "a.ptl", b"aten::mean", b"aten::maen")
    with pytest.raises(UnreadableArtifact, match=r"operators .* does not have \(aten::maen.dim\)"):
        load(session, path)


def test_unknown_class(session: HostSession, tensor_ptl: Any, tmp_path: Path) -> None:
    path = replaced(tensor_ptl.path, tmp_path / "a.ptl", b"classes.xnnpack", b"classes.xnnpacq")
    with pytest.raises(UnreadableArtifact, match=r"built with XNNPACK: on Linux 2\.12 or older"):
        load(session, path)


@pytest.mark.parametrize("version", [2, 99])
def test_bytecode_version(
    session: HostSession, tensor_ptl: Any, tmp_path: Path, version: int
) -> None:
    code = records_of(tensor_ptl.path)["bytecode.pkl"]
    assert parse_bytecode(code).version == code[3] == 8
    changed = code[:3] + bytes([version]) + code[4:]
    path = with_records(tensor_ptl.path, tmp_path / "a.ptl", {"bytecode.pkl": changed})
    with pytest.raises(UnreadableArtifact, match=rf"between 4 and 9.* is {version}"):
        load(session, path)


def test_archive_version(session: HostSession, tensor_ptl: Any, tmp_path: Path) -> None:
    path = with_records(tensor_ptl.path, tmp_path / "a.ptl", {"version": b"99\n"})
    with pytest.raises(UnreadableArtifact, match="archive format 99 is newer"):
        load(session, path)


def test_truncated_and_other_archives(
    session: HostSession, tensor_ptl: Any, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.ptl"
    cut.write_bytes(tensor_ptl.path.read_bytes()[:30_000])
    with pytest.raises(UnreadableArtifact, match="damaged or incomplete"):
        load(session, cut)
    other = tmp_path / "script.pt"
    torch.jit.script(torch.nn.ReLU()).save(str(other))
    with pytest.raises(UnreadableArtifact, match=r"no record bytecode\.pkl"):
        load(session, other)


def test_engines(session: HostSession, int8_ptl: Any) -> None:
    with pytest.raises(UnreadableArtifact, match="no quantized engine"):
        load(session, int8_ptl.path, engine="none")
    if "onednn" in torch.backends.quantized.supported_engines:
        load(session, int8_ptl.path, engine="onednn")
        with pytest.raises(ForwardError, match=r"engine = 'qnnpack' before loading"):
            session.forward(PHOTO)


def test_wrong_dtype(session: HostSession, tensor_ptl: Any) -> None:
    load(session, tensor_ptl.path)
    with pytest.raises(ForwardError, match="XNNPACK's Convolution was prepared for"):
        session.forward([X[0].astype(np.float64)])


def test_an_authors_own_message_comes_through(session: HostSession, tmp_path: Path) -> None:
    class Picky(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[2] < 64:
                raise ValueError(f"image is {x.shape[2]} pixels high, at least 64")
            return x

    path = tmp_path / "picky.ptl"
    write_lite(torch.jit.script(Picky()), path)
    load(session, path)
    with pytest.raises(ForwardError, match="forward failed: image is 32 pixels high, at least 64"):
        session.forward(X)
