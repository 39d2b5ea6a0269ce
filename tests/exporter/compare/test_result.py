"""Records: read back as written, and never taken for another trial's."""

from __future__ import annotations

from pathlib import Path

from exporter.compare.result import (
    COUNTED,
    RECORD,
    Comparison,
    Counted,
    TrialResult,
    read_count,
    read_record,
    without_measured,
    write_json,
)

from .trials import comparison, failure, row

RESULT = TrialResult(key="k", name="net", file="net.ptl", sha256="s", bytes=3)


def test_a_record_counts_only_with_its_key_and_its_file(tmp_path: Path) -> None:
    assert read_record(tmp_path, "k") is None
    (tmp_path / RECORD).write_text(RESULT.model_dump_json(), encoding="utf-8")
    assert read_record(tmp_path, "k") is None, "its file is missing"
    (tmp_path / "net.ptl").write_bytes(b"abc")
    assert read_record(tmp_path, "k") == RESULT
    assert read_record(tmp_path, "other") is None
    (tmp_path / RECORD).write_text("{", encoding="utf-8")
    assert read_record(tmp_path, "k") is None


def test_a_failure_needs_no_file(tmp_path: Path) -> None:
    failed = TrialResult(key="k", name="net", reason="it broke")
    (tmp_path / RECORD).write_text(failed.model_dump_json(), encoding="utf-8")
    assert read_record(tmp_path, "k") == failed
    assert failed.failed


def test_a_count_is_of_one_file_on_one_runtime(tmp_path: Path) -> None:
    counted = Counted(runtime="arm64-2.1.0", sha256="s", instructions=7)
    assert read_count(tmp_path, "arm64-2.1.0", "s") is None
    (tmp_path / COUNTED).write_text(counted.model_dump_json(), encoding="utf-8")
    assert read_count(tmp_path, "arm64-2.1.0", "s") == counted
    assert read_count(tmp_path, "arm64-1.13.1", "s") is None
    assert read_count(tmp_path, "arm64-2.1.0", "t") is None


def test_the_json_is_read_back_as_written(tmp_path: Path) -> None:
    found = comparison(row("a", fronts=["mb", "ms"]), failure("b", "it broke"), timing="once")
    write_json(found, tmp_path / "compare.json")
    text = (tmp_path / "compare.json").read_text(encoding="utf-8")
    assert Comparison.model_validate_json(text) == found
    assert [r.name for r in found.exported] == ["a"]


def test_two_runs_differ_in_what_is_measured_alone() -> None:
    one = comparison(row("a", ms=1.0, seconds=2.0, peak_mb=3.0, fronts=["mb", "ms"]), timing="x")
    two = comparison(row("a", ms=9.0, seconds=8.0, peak_mb=7.0, fronts=["mb"]))
    three = comparison(row("a", agreement=0.8))
    assert without_measured(one) == without_measured(two)
    assert without_measured(one) != without_measured(three)
