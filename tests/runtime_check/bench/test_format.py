from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from runtime_check import RuntimeCheckError
from runtime_check.bench.format import (
    Benchmark,
    BenchmarkRun,
    DeviceRuns,
    paired_ratio,
    read_bench,
    write_schema,
)


def written(value: object, path: Path) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_figures_are_of_measured_times() -> None:
    base = {"label": "a", "runtime": "r", "model": "m", "threads": 1, "input_shape": [1]}
    run = BenchmarkRun(**base, samples_ms=[float(n) for n in range(1, 101)])
    assert run.median_ms == 50.5
    assert run.p95_ms == 95
    assert BenchmarkRun(**base, samples_ms=[3.0]).p95_ms == 3
    # A machine that slowed down halfway does not change a paired ratio.
    slow = BenchmarkRun(**base, samples_ms=[2.0, 2.0, 20.0, 20.0])
    quick = BenchmarkRun(**base, samples_ms=[1.0, 1.0, 10.0, 10.0])
    assert paired_ratio(slow, quick) == 2
    with pytest.raises(ValidationError):
        BenchmarkRun(**base, samples_ms=[0.0])


def test_a_phones_json_is_imported(phone: dict[str, Any], tmp_path: Path) -> None:
    read = read_bench(written(phone, tmp_path / "phone.json"))
    assert read.devices[0].runs[0].median_ms == 21
    assert read.devices[0].runs[0].peak_mb is None
    assert Benchmark.model_validate_json(read.model_dump_json()) == read


def test_what_is_not_a_benchmark_is_named(phone: dict[str, Any], tmp_path: Path) -> None:
    phone["devices"][0]["runs"][0]["threads"] = 0
    cases = [
        (written(phone, tmp_path / "a.json"), "devices.0.runs.0.threads"),
        (written({"version": "2.0"}, tmp_path / "b.json"), "version 2.0"),
        (written([1], tmp_path / "c.json"), "is not JSON"),
        (tmp_path / "absent.json", "Cannot read"),
    ]
    for path, words in cases:
        with pytest.raises(RuntimeCheckError, match=re.escape(words)):
            read_bench(path)


def test_the_docstring_names_only_fields_there_are() -> None:
    """It described runs of one `rounds` number; there is no such field."""
    documented = set(re.findall(r"`(\w+)`", DeviceRuns.__doc__ or ""))
    assert documented
    assert documented <= set(DeviceRuns.model_fields)


def test_the_schema_in_the_repository_is_that_of_the_models(tmp_path: Path) -> None:
    committed = Path(__file__).parents[2] / "golden" / "benchmark.schema.json"
    assert write_schema(tmp_path).read_text() == committed.read_text()
