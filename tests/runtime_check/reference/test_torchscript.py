from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from runtime_check.errors import UnreadableArtifact
from runtime_check.reference.torchscript import (
    is_torchscript,
    read_torchscript,
    without_derived,
)


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.register_buffer("steps", torch.arange(4), persistent=False)
        self.register_buffer("none", torch.zeros(0, 3))
        self.factor = 2.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) * self.factor


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([Part(), Part().half()])
        self.turned = nn.Parameter(torch.arange(6.0).reshape(2, 3).T)
        self.tail = nn.Parameter(torch.arange(9).bfloat16()[4:])
        self.flag = nn.Parameter(torch.tensor([True, False]), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.parts[0](x)


def saved(path: Path) -> Whole:
    torch.manual_seed(0)
    module = Whole()
    torch.jit.save(torch.jit.script(module), str(path))
    return module


def test_every_parameter_and_buffer_is_read_bit_for_bit(tmp_path: Path) -> None:
    module = saved(tmp_path / "w.pt")
    expected = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    found = read_torchscript(tmp_path / "w.pt")
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.dtype == expected[name].dtype
        assert torch.equal(value, expected[name]), name


def test_nothing_loads_or_runs_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "w.pt")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(torch.jit, "load", never)
    monkeypatch.setattr(torch, "load", never)
    assert len(read_torchscript(tmp_path / "w.pt")) == 11


def test_other_files_are_no_torchscript(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.pth")
    (tmp_path / "w.txt").write_text("hello")
    assert not is_torchscript(tmp_path / "w.pth")
    assert not is_torchscript(tmp_path / "w.txt")
    saved(tmp_path / "w.pt")
    assert is_torchscript(tmp_path / "w.pt")


def rewritten(source: Path, change: dict[str, bytes]) -> Path:
    """Write the archive again with other records."""
    out = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            name = info.filename.partition("/")[2]
            new.writestr(info.filename, change.get(name, old.read(info)))
    path = source.with_name("changed.pt")
    path.write_bytes(out.getvalue())
    return path


@pytest.mark.parametrize(
    "change",
    [
        {"data.pkl": b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R."},
        {"data.pkl": b"\x80\x02N."},
        {"data.pkl": b"junk"},
        {"data/0": b"\0"},
        {"byteorder": b"big"},
    ],
)
def test_archives_that_torch_did_not_write_are_refused(
    change: dict[str, bytes], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path / "w.pt")
    with pytest.raises(UnreadableArtifact):
        read_torchscript(rewritten(tmp_path / "w.pt", change))
    assert len(read_torchscript(rewritten(tmp_path / "w.pt", {}))) == 11
    assert not capfd.readouterr().out


def test_derived_buffers_are_left_out_only_with_the_models_own_values() -> None:
    state = {"a": torch.ones(2), "index": torch.arange(3)}
    assert without_derived(state, {"index": torch.arange(3)}).keys() == {"a"}
    assert without_derived(state, {"index": torch.arange(4)}).keys() == {"a", "index"}
    assert without_derived(state, {}).keys() == {"a", "index"}
