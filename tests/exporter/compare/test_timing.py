"""Timing: all files together, kept for the same files on the same machine, and groups that fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from exporter.compare import timing
from exporter.compare.timing import TIMING, measure
from runtime_check.errors import RuntimeCheckError

from ...artifacts import Models


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.ptl" for name in "abc"}
    for path in paths.values():
        path.write_bytes(b"x")
    return paths


@pytest.fixture
def benches(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Which files were timed together; `b` does not run where `breaks` is in the list."""
    calls: list[list[str]] = []

    def run(paths: Sequence[Path], *, threads: Sequence[int], rounds: int) -> SimpleNamespace:
        names = [path.stem for path in paths]
        calls.append(names)
        if "b" in names and paths[0].parent.joinpath("breaks").exists():
            raise RuntimeCheckError("b.ptl does not load.")
        runs = [SimpleNamespace(median_ms=float(ord(name))) for name in names]
        return SimpleNamespace(devices=[SimpleNamespace(runs=runs)])

    monkeypatch.setattr(timing, "run_bench", run)
    return calls


def timed(files: dict[str, Path], tmp_path: Path, memory: int = 10**12) -> timing.Timing:
    return measure(files, rounds=4, memory=memory, folder=tmp_path, say=lambda text: None)


def test_all_files_take_turns_in_one_bench(
    files: dict[str, Path], benches: list[list[str]], tmp_path: Path
) -> None:
    found = timed(files, tmp_path)
    assert found.ms == {"a": 97.0, "b": 98.0, "c": 99.0}
    assert benches == [["a", "b", "c"]]
    assert str(found) == (
        "one thread, median of 4, all files in turns, round by round, after all exports"
    )


def test_times_are_kept_for_the_same_files(
    files: dict[str, Path], benches: list[list[str]], tmp_path: Path
) -> None:
    first = timed(files, tmp_path)
    assert timed(files, tmp_path) == first
    assert len(benches) == 1
    del files["c"]
    assert set(timed(files, tmp_path).ms) == {"a", "b"}
    assert benches[1:] == [["a", "b"]], "times of two moments are not compared"
    (tmp_path / TIMING).write_text("{", encoding="utf-8")
    timed(files, tmp_path)
    assert len(benches) == 3


def test_groups_fit_in_memory_and_are_said(
    files: dict[str, Path], benches: list[list[str]], tmp_path: Path
) -> None:
    found = timed(files, tmp_path, memory=1_100_000_000)
    assert benches == [["a", "b"], ["c"]]
    assert found.groups == 2
    assert "in 2 groups that fit in memory" in str(found)


def test_a_file_that_does_not_run_is_left_out_with_its_reason(
    files: dict[str, Path], benches: list[list[str]], tmp_path: Path
) -> None:
    (tmp_path / "breaks").touch()
    found = timed(files, tmp_path)
    assert set(found.ms) == {"a", "c"}
    assert found.skipped == {"b": "b.ptl does not load."}
    assert benches[-1] == ["a", "c"]
    assert not (tmp_path / TIMING).exists(), "it may run next time"


def test_real_files_are_timed(models: Models, tmp_path: Path) -> None:
    files = {"fp32": models.fp32, "int8": models.int8}
    found = measure(files, rounds=2, memory=10**12, folder=tmp_path, say=lambda text: None)
    assert set(found.ms) == {"fp32", "int8"}
    assert all(0.1 < ms < 60_000 for ms in found.ms.values())
