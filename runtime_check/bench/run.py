"""Time artifacts and peers side by side, each in its own process, round by round.

A machine that slows down for a minute slows every contestant of that round alike, so ratios are
taken within rounds and their median told. The order within a round rotates, and in each turn the
second of two inferences counts.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from html import escape as escape_html
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..artifact.archive import ArtifactFile, read_artifact
from ..artifact.metadata import ImageInput, Metadata
from ..errors import RuntimeCheckError
from ..properties.inputs import ImageRecipe, TensorRecipe
from ..reference.weights import file_sha256
from ..runtimes.host import HostSession, start_host
from . import peers
from .format import Benchmark, BenchmarkRun, Device, DeviceRuns, Skipped, read_bench

__all__ = ["print_bench", "read_bench", "run_bench", "write_plot"]

_WARM_UP = 3
# Seconds before each turn. Idle threads spin for a while before they sleep (XNNPACK's pool for a
# million pauses), and on few cores they would take the next contestant's time.
_REST = 0.1


@dataclass
class _Contestant:
    """One process with one thing loaded, and what it took so far."""

    label: str
    runtime: str
    artifact: ArtifactFile
    own_file: bool
    threads: int
    session: HostSession
    inputs: list[np.ndarray]
    first: float
    samples: list[float]
    peak: int


def _input(metadata: Metadata) -> list[np.ndarray]:
    """One photo-like input: 640 x 480, about what an app should decode to, or the tensors."""
    spec = metadata.input
    if isinstance(spec, ImageInput):
        height, width = (min(max(n, spec.min_side), spec.max_side) for n in (480, 640))
        return ImageRecipe("pink", height, width, 128, 1).build()
    specs = tuple((tuple(t.shape), str(t.dtype)) for t in spec.tensors)
    return TensorRecipe("normal", None, 1, specs).build()


def run_bench(
    files: Sequence[Path],
    *,
    against: Sequence[str] = (),
    threads: Sequence[int] = (1, 2),
    rounds: int = 30,
    reference: str | None = None,
    weights: Path | None = None,
    trust_factory: bool = False,
    pythons: Mapping[str, str] | None = None,
    progress: Console | None = None,
) -> Benchmark:
    """Time every file, and every peer on the first file's job, with every thread count.

    Each takes part in `rounds` interleaved rounds after a warm-up. A peer that is not installed
    or cannot build its model is skipped with a word. Raises `RuntimeCheckError` for files that
    cannot be read.

    `pythons` names another interpreter for a peer whose packages clash with these; it must be
    able to import `runtime_check` too.
    """
    pythons = pythons or {}
    for name in against:
        if name not in peers.NEEDS:
            raise RuntimeCheckError(f"There is no peer {name!r}: {', '.join(peers.NEEDS)}.")
    artifacts = [read_artifact(path) for path in files]
    skipped: list[Skipped] = []
    runs: list[BenchmarkRun] = []
    options = {
        "reference": reference,
        "weights": None if weights is None else str(weights),
        "trust_factory": trust_factory,
    }
    for count in threads:
        with ExitStack() as stack:
            contestants = []
            for artifact in artifacts:
                contestants.append(_start(stack, artifact, "lite", count, {}, {}))
            for name in against:
                why = "" if name in pythons else peers.missing(name)
                if not why:
                    try:
                        contestants.append(
                            _start(stack, artifacts[0], name, count, options, pythons)
                        )
                    except RuntimeCheckError as error:
                        why = str(error)
                if why and count == threads[0]:
                    skipped.append(Skipped(label=name, reason=why))
            _play(contestants, rounds, progress, f"{count} thread{'s' * (count > 1)}")
            runs.extend(_result(contestant) for contestant in contestants)
    device = DeviceRuns(device=this_device(), runs=runs, skipped=skipped, interleaved=True)
    return Benchmark(devices=[device])


def _environment(peer: str, threads: int) -> dict[str, str]:
    """Say under which variables a contestant is at its best with `threads` threads.

    For all: glibc keeps the memory it was given, as other runtimes' own allocators do; otherwise
    it hands large activations back after each layer, and page faults are a good part of a
    convolutional net's time.

    For our files: torch on a computer has two thread pools, OpenMP's for its own operators, and
    XNNPACK's. With as many threads each as there are cores, one spins where the other wants to
    compute: on two cores a lite file is slower than on one. So XNNPACK, which has most of the
    work, gets the threads. A phone's build has one pool for both.
    """
    keep = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
    return keep | ({"OMP_THREAD_LIMIT": "1"} if peer == "lite" and threads > 1 else {})


def _start(
    stack: ExitStack,
    artifact: ArtifactFile,
    peer: str,
    threads: int,
    options: Mapping[str, object],
    pythons: Mapping[str, str],
) -> _Contestant:
    session = stack.enter_context(
        start_host(environment=_environment(peer, threads), python=pythons.get(peer))
    )
    session.load(
        path=artifact.path, engine="qnnpack", threads=threads, memory=0, peer=peer, options=options
    )
    inputs = _input(artifact.metadata)
    run = session.forward(inputs, threads=threads)
    lite = peer == "lite"
    import torch

    return _Contestant(
        label=artifact.path.name if lite else peer,
        runtime=f"lite interpreter {torch.__version__}" if lite else f"{peer} {session.version}",
        artifact=artifact,
        own_file=lite,
        threads=threads,
        session=session,
        inputs=inputs,
        first=run.seconds[0],
        samples=[],
        peak=run.peak_bytes,
    )


def _play(contestants: list[_Contestant], rounds: int, progress: Console | None, what: str) -> None:
    for turn in range(-_WARM_UP, rounds):
        if progress is not None and progress.is_terminal:
            progress.print(f"{what}: round {max(0, turn + 1)} of {rounds}", end="\r")
        shift = turn % len(contestants)
        for contestant in contestants[shift:] + contestants[:shift]:
            time.sleep(_REST)
            # Once to wake its threads and fill the caches that the others emptied, once to count.
            run = contestant.session.forward(
                contestant.inputs, threads=contestant.threads, repeats=2
            )
            contestant.peak = max(contestant.peak, run.peak_bytes)
            if turn >= 0:
                contestant.samples.append(run.seconds[-1])


def _result(contestant: _Contestant) -> BenchmarkRun:
    artifact, session = contestant.artifact, contestant.session
    own = contestant.own_file
    return BenchmarkRun(
        label=contestant.label,
        runtime=contestant.runtime,
        model=artifact.metadata.name,
        file=artifact.path.name if own else None,
        sha256=file_sha256(artifact.path) if own else None,
        quantization=artifact.metadata.quantization.method
        if own
        else peers.quantization(contestant.label),
        threads=contestant.threads,
        input_shape=list(contestant.inputs[0].shape),
        samples_ms=[1e3 * seconds for seconds in contestant.samples],
        load_ms=1e3 * session.load_seconds if own else None,  # a peer's includes its export
        first_ms=1e3 * contestant.first,
        # A peer's process has held the Python model too, so its peak is not comparable.
        peak_mb=(contestant.peak - session.before_bytes) / 1e6 if own else None,
        size_mb=artifact.bytes / 1e6 if own else None,
    )


def this_device() -> Device:
    """Describe this machine."""
    systems = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}
    return Device.model_validate(
        {
            "platform": systems.get(platform.system(), "linux"),
            "model": _processor(),
            "os": f"{platform.system()} {platform.release()}",
            "cpu": platform.machine(),
            "cores": os.cpu_count() or 1,
            "app": "runtime_check",
        }
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def paired_ratio(run: BenchmarkRun, base: BenchmarkRun) -> float:
    """Return the median of `run`'s time over `base`'s within each round; above 1 is slower."""
    pairs = zip(run.samples_ms, base.samples_ms, strict=False)
    return statistics.median(one / other for one, other in pairs)


def _base(device: DeviceRuns, run: BenchmarkRun) -> BenchmarkRun | None:
    """The first run with the same thread count, which the ratios are told against."""
    same = [other for other in device.runs if other.threads == run.threads]
    return same[0] if device.interleaved and len(same) > 1 else None


def print_bench(benchmark: Benchmark, console: Console) -> None:
    """Print one table a device, ratios against its first run of the same thread count."""

    def shown(value: float | None, digits: int = 1) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    for device in benchmark.devices:
        where = device.device
        console.print(
            f"[bold]{escape(where.model)}[/bold], {escape(where.os)}, {where.cpu}, "
            f"{where.cores} cores"
        )
        table = Table(box=None, pad_edge=False)
        table.add_column("", overflow="fold")  # figures keep their width, names are folded
        for name in ("threads", "load", "first", "median", "p95 ms", "x first", "peak MB", "MB"):
            table.add_column(name, justify="right", no_wrap=True)
        for run in device.runs:
            base = _base(device, run)
            table.add_row(
                escape(run.label),
                str(run.threads),
                shown(run.load_ms),
                shown(run.first_ms),
                shown(run.median_ms, 2),
                shown(run.p95_ms, 2),
                "" if base is None else f"{paired_ratio(run, base):.2f}",
                shown(run.peak_mb),
                shown(run.size_mb, 2),
            )
        console.print(table)
        for label, runtime in dict.fromkeys((run.label, run.runtime) for run in device.runs):
            console.print(f"{escape(label)}: {escape(runtime)}")
        for entry in device.skipped:
            console.print(f"skipped {escape(entry.label)}: {escape(entry.reason)}")


def write_plot(benchmark: Benchmark, path: Path) -> None:
    """Draw medians as bars with a whisker to the 95th percentile, as one SVG file."""
    bars = [
        (f"{run.label}, {run.threads} thr", device.device.model, run)
        for device in benchmark.devices
        for run in device.runs
    ]
    longest = max(run.p95_ms for _, _, run in bars)
    left, width, step, top = 260, 520, 30, 46
    height = top + step * len(bars) + 30
    rows = []
    for index, (label, device, run) in enumerate(bars):
        y = top + step * index
        size, reach = width * run.median_ms / longest, width * run.p95_ms / longest
        colour = "#2f6fb3" if run.quantization == "none" else "#c9762b"
        rows.append(
            f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape_html(label)}</text>'
            f'<rect x="{left}" y="{y + 2}" width="{size:.1f}" height="16" fill="{colour}">'
            f"<title>{escape_html(device)}, {escape_html(run.runtime)}: median "
            f"{run.median_ms:.2f} ms, p95 {run.p95_ms:.2f} ms</title></rect>"
            f'<path d="M{left + size:.1f} {y + 10}H{left + reach:.1f}m0 -4v8" stroke="#444"/>'
            f'<text x="{left + reach + 6:.1f}" y="{y + 14}">{run.median_ms:.1f}</text>'
        )
    models = ", ".join(dict.fromkeys(run.model for _, _, run in bars))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 70} {height}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#222">'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="16" y="24" font-size="15" font-weight="600">{escape_html(models)}: '
        "milliseconds an image, median and 95th percentile</text>"
        f"{''.join(rows)}"
        f'<text x="16" y="{height - 10}" fill="#666">blue float32, orange int8; shorter is '
        "faster</text></svg>\n",
        encoding="utf-8",
    )
