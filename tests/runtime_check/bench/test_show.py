from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from runtime_check.bench.format import Benchmark
from runtime_check.bench.show import print_bench, write_plot

# The longest names that the README's commands make.
NAMES = ("tf_efficientnet_lite0.ptl", "vit_small_patch14_dinov2.lvd142m-int8.ptl", "eager")


@pytest.fixture
def benchmark_of_files(phone: dict[str, Any]) -> Benchmark:
    (run,) = phone["devices"][0]["runs"]
    measured = {"load_ms": 31.04, "first_ms": 1024.55, "peak_mb": 103.2, "size_mb": 18.64}
    runs = [
        {**run, **measured, "label": name, "threads": threads, "quantization": how}
        for threads in (1, 2)
        for name, how in zip(NAMES, ("none", "static", "none"), strict=True)
    ]
    phone["devices"][0] |= {"runs": runs, "interleaved": True}
    return Benchmark.model_validate(phone)


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_name_is_broken_and_no_line_too_long(
    benchmark_of_files: Benchmark, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    print_bench(benchmark_of_files, Console(width=width))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    table = lines[1 : lines.index(next(line for line in lines if line.startswith(NAMES[0] + ":")))]
    for name in NAMES:
        assert sum(line.startswith(name) for line in table) == 2
    # Every figure stands below its heading, right-aligned.
    ends = {line.rindex("18.64") + 5 for line in table if "18.64" in line}
    assert ends == {len(table[0])}
    assert table[0].split()[-4:] == ["first", "peak", "MB", "MB"]
    assert sum("1024.5" in line for line in table) == 6


def test_ratios_are_against_the_first_run_of_the_same_threads(
    benchmark_of_files: Benchmark, capsys: pytest.CaptureFixture[str]
) -> None:
    (device,) = benchmark_of_files.devices
    slower = device.runs[4].model_copy(update={"samples_ms": [42.0, 40.0, 60.0]})
    runs = [*device.runs[:4], slower, device.runs[5]]
    changed = Benchmark(devices=[device.model_copy(update={"runs": runs})])
    print_bench(changed, Console(width=200))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    ratios = [row[6] for row in rows if len(row) == 9 and row[1] in "12"]
    assert ratios == ["1.00", "1.00", "1.00", "1.00", "2.00", "1.00"]


def test_the_plot_is_one_svg_with_a_bar_a_run(
    benchmark_of_files: Benchmark, tmp_path: Path
) -> None:
    (device,) = benchmark_of_files.devices
    hostile = device.runs[0].model_copy(update={"label": "<script>&", "runtime": '"&'})
    several = Benchmark(devices=[device.model_copy(update={"runs": [hostile, *device.runs]})])
    write_plot(several, tmp_path / "new" / "plot.svg")
    root = ElementTree.parse(tmp_path / "new" / "plot.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    bars = root.findall(f"{space}rect")[1:]
    assert len(bars) == 7
    assert max(float(bar.get("width", "")) for bar in bars) <= 520
    texts = [node.text for node in root.findall(f"{space}text")]
    assert "<script>&, 1 thr" in texts
    assert f"{NAMES[1]}, 2 thr" in texts
