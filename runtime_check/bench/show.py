"""Show a benchmark: a table on the terminal, and a plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ..pages import write_page
from .format import Benchmark, BenchmarkRun, DeviceRuns, paired_ratio

_HEADER = ("", "threads", "load", "first", "median", "p95 ms", "x first", "peak MB", "MB")


def _base(device: DeviceRuns, run: BenchmarkRun) -> BenchmarkRun | None:
    """Return the first run with the same thread count, which the ratios are against."""
    same = [other for other in device.runs if other.threads == run.threads]
    return same[0] if device.interleaved and len(same) > 1 else None


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _cells(device: DeviceRuns, run: BenchmarkRun) -> tuple[str, ...]:
    base = _base(device, run)
    return (
        run.label,
        str(run.threads),
        _number(run.load_ms),
        _number(run.first_ms),
        _number(run.median_ms, 2),
        _number(run.p95_ms, 2),
        "" if base is None else f"{paired_ratio(run, base):.2f}",
        _number(run.peak_mb),
        _number(run.size_mb, 2),
    )


def _lines(rows: Sequence[tuple[str, ...]], width: int) -> Iterator[str]:
    """Lay out rows in columns at most `width` wide: a long name has a line to itself.

    No table of rich: it folds names, and a name in two halves cannot be copied.
    """
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[1:]]
    room = width - sum(widths) - 2 * len(widths)
    names = max((len(row[0]) for row in rows if len(row[0]) <= room), default=0)
    for name, *figures in rows:
        if len(name) > room:
            yield name
            name = ""
        numbers = (cell.rjust(wide) for cell, wide in zip(figures, widths, strict=True))
        yield "  ".join((name.ljust(names), *numbers)).rstrip()


def print_bench(benchmark: Benchmark, console: Console) -> None:
    """Print one table a device, ratios against its first run of the same thread count."""
    for device in benchmark.devices:
        where = device.device
        console.print(
            f"[bold]{escape(where.model)}[/bold], {escape(where.os)}, {where.cpu}, "
            f"{where.cores} cores"
        )
        rows = [_HEADER, *(_cells(device, run) for run in device.runs)]
        for index, line in enumerate(_lines(rows, console.width)):
            console.print(Text(line, style="" if index else "bold"), soft_wrap=True)
        for label, runtime in dict.fromkeys((run.label, run.runtime) for run in device.runs):
            console.print(f"{escape(label)}: {escape(runtime)}", soft_wrap=True)
        for entry in device.skipped:
            console.print(f"skipped {escape(entry.label)}: {escape(entry.reason)}")


def write_plot(benchmark: Benchmark, path: Path) -> None:
    """Draw medians as bars with a whisker to the 95th percentile, as one SVG file."""
    runs = [(device.device.model, run) for device in benchmark.devices for run in device.runs]
    longest = max(run.p95_ms for _, run in runs)
    left, width, step, top = 260, 520, 30, 46
    bars = [
        {
            "label": f"{run.label}, {run.threads} thr",
            "device": device,
            "run": run,
            "y": top + step * index,
            "median": width * run.median_ms / longest,
            "p95": width * run.p95_ms / longest,
        }
        for index, (device, run) in enumerate(runs)
    ]
    values = {
        "left": left,
        "width": width,
        "height": top + step * len(bars) + 30,
        "models": ", ".join(dict.fromkeys(run.model for _, run in runs)),
        "bars": bars,
    }
    write_page("bench.svg", values, path)
