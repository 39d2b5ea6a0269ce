from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from torch import nn

from runtime_check.artifact.archive import read_bytecode
from runtime_check.errors import MissingEngine
from runtime_check.runtimes import lite
from runtime_check.runtimes.lite import backport, load_lite, quantized_engine, write_lite

ROOT = Path(__file__).parents[3]
PRIVATE = ("_for_lite_interpreter", "_backport_for_mobile", "quantized.engine =")


def test_this_is_the_only_caller_of_the_private_interface() -> None:
    for package in ("exporter", "runtime_check"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.unparse(ast.parse(path.read_text(encoding="utf-8")))
            named = [name for name in PRIVATE if name in tree]
            allowed = {"lite.py": PRIVATE, "child.py": ("quantized.engine =", "for_lite")}
            advice = {"engine.py", "translate.py"}  # sentences that tell people to set it
            assert path.name in advice or set(named) <= set(allowed.get(path.name, ())), path


def test_a_file_is_written_loaded_and_backported(tmp_path: Path) -> None:
    path, older = tmp_path / "a.ptl", tmp_path / "older.ptl"
    write_lite(torch.jit.script(nn.ReLU()), path, extra={"note.txt": "kept"})
    x = torch.tensor([-1.0, 2.0])
    assert load_lite(path)(x).tolist() == [0, 2]
    assert b"kept" in path.read_bytes()
    older.write_bytes(backport(path, 5))
    assert (read_bytecode(path).version, read_bytecode(older).version) == (8, 5)


def test_the_engine_is_restored_even_after_an_error() -> None:
    before = torch.backends.quantized.engine
    other = next(e for e in torch.backends.quantized.supported_engines if e not in ("none", before))
    seen = []

    def fail() -> None:
        with quantized_engine(other):
            seen.append(torch.backends.quantized.engine)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [other]
    assert torch.backends.quantized.engine == before


def test_a_missing_engine_says_what_there_is() -> None:
    before = torch.backends.quantized.engine
    words = r"no quantized engine 'tpu' \(it has: .*qnnpack"
    with pytest.raises(MissingEngine, match=words), quantized_engine("tpu"):
        pass
    with quantized_engine("tpu", required=False):
        assert torch.backends.quantized.engine == before


@pytest.mark.parametrize("ample", [0, 2**62])
def test_a_short_disk_gets_the_same_file(
    ample: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made in memory there: torch's writer ends the process where a disk is full."""
    monkeypatch.setattr(lite, "_AMPLE", ample)
    write_lite(torch.jit.script(nn.Linear(3, 2)), tmp_path / "a.ptl", extra={"note.txt": "kept"})
    assert load_lite(tmp_path / "a.ptl")(torch.ones(1, 3)).shape == (1, 2)
    assert b"kept" in (tmp_path / "a.ptl").read_bytes()
