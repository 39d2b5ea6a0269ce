import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from runtime_check import RuntimeCheckError
from runtime_check.bench.format import Benchmark, BenchmarkRun
from runtime_check.bench.run import paired_ratio, print_bench, read_bench, run_bench, write_plot


def phone() -> dict[str, Any]:
    return {
        "format": "runtime-check-benchmark",
        "version": "1.0",
        "devices": [
            {
                "device": {
                    "platform": "android", "model": "Pixel 8", "os": "Android 15",
                    "cpu": "arm64", "cores": 9, "app": "android_demo 1.0",
                },
                "runs": [
                    {
                        "label": "deit_tiny", "runtime": "lite interpreter 2.1.0",
                        "model": "deit_tiny", "threads": 4, "input_shape": [480, 640, 3],
                        "samples_ms": [21.0, 20.0, 30.0],
                    }
                ],
            }
        ],
    }  # fmt: skip


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


def test_a_phones_json_is_imported(tmp_path: Path) -> None:
    read = read_bench(written(phone(), tmp_path / "phone.json"))
    assert read.devices[0].runs[0].median_ms == 21
    assert read.devices[0].runs[0].peak_mb is None
    assert Benchmark.model_validate_json(read.model_dump_json()) == read


def test_what_is_no_benchmark_is_named(tmp_path: Path) -> None:
    bad = phone()
    bad["devices"][0]["runs"][0]["threads"] = 0
    cases = [
        (written(bad, tmp_path / "a.json"), "devices.0.runs.0.threads"),
        (written({"version": "2.0"}, tmp_path / "b.json"), "version 2.0"),
        (written([1], tmp_path / "c.json"), "is not JSON"),
        (tmp_path / "absent.json", "Cannot read"),
    ]
    for path, words in cases:
        with pytest.raises(RuntimeCheckError, match=re.escape(words)):
            read_bench(path)


@pytest.mark.timeout(300)
def test_files_and_peers_are_timed_side_by_side(
    image_ptl: Any, int8_ptl: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    found = run_bench(
        [image_ptl.path, int8_ptl.path],
        against=["eager", "executorch"],
        threads=[1],
        rounds=4,
        trust_factory=True,
    )
    (device,) = found.devices
    assert [run.label for run in device.runs][:3] == ["image.ptl", "int8.ptl", "eager"]
    assert all(len(run.samples_ms) == 4 for run in device.runs)
    first = device.runs[0]
    assert first.load_ms is not None
    assert first.peak_mb is not None
    assert 0 < first.peak_mb < 500
    assert {run.label for run in device.runs} | {s.label for s in device.skipped} >= {"executorch"}

    print_bench(found, Console(width=100))
    assert "image.ptl" in capsys.readouterr().out
    both = found.merged([Benchmark.model_validate(phone())])
    write_plot(both, tmp_path / "plot.svg")
    assert len(ElementTree.parse(tmp_path / "plot.svg").getroot()) > 8


def test_a_peer_without_its_model_is_skipped_with_a_word(image_ptl: Any) -> None:
    found = run_bench([image_ptl.path], against=["eager"], threads=[1], rounds=3)
    (skip,) = found.devices[0].skipped
    assert skip.label == "eager"
    assert "import code that the file chose" in skip.reason
