"""Time artifacts and peers side by side, each in its own process, round by round.

A machine that slows down for a minute slows every contestant of that round alike, so ratios are
taken within rounds, and their median counts. The order within a round rotates, and in each turn the
second of two inferences counts.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from ..artifact.archive import ArtifactFile
from ..artifact.metadata import ImageInput, Metadata
from ..errors import RuntimeCheckError
from ..options import DEFAULT_MEMORY, EMPTY_REFERENCE, PeerName
from ..properties.inputs import ImageRecipe, TensorRecipe
from ..runtime import read_copy, shown_as
from ..runtimes.host import HostSession, NoPeerModel, Peer, start_host
from ..snapshot import Snapshot
from . import peers
from .format import Benchmark, BenchmarkRun, Device, DeviceRuns, Skipped

_WARM_UP = 3
# Seconds before each turn. Idle threads spin for a while before they sleep (XNNPACK's pool for a
# million pauses), and on few cores they would take the next contestant's time.
_REST = 0.1


@dataclass(frozen=True)
class _Opened:
    """A file as it was when the benchmark began: what runs is `copy`."""

    artifact: ArtifactFile
    copy: Snapshot


@dataclass
class _Contestant:
    """One process with one thing loaded, and what it took so far."""

    label: str
    runtime: str
    opened: _Opened
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
    against: Sequence[PeerName] = (),
    threads: Sequence[int] = (1, 2),
    rounds: int = 30,
    reference: str | None = None,
    weights: Path | None = None,
    trust_factory: bool = False,
    allow_large: bool = False,
    pythons: Mapping[str, str] | None = None,
    verify_key: str | Path | None = None,
    progress: Console | None = None,
) -> Benchmark:
    """Time every file, and every peer on the first file's job, with every thread count.

    Each takes part in `rounds` interleaved rounds after a warm-up. A peer that is not installed
    or cannot build the file's model is skipped with a word. Raises `RuntimeCheckError` for files
    that cannot be read or that `verify_key` did not sign, and for a `reference` or `weights` that
    cannot be had.

    `pythons` names another interpreter for a peer whose packages clash with these; it must be
    able to import `runtime_check` too.
    """
    if reference == "":
        raise RuntimeCheckError(EMPTY_REFERENCE)
    options = {
        "reference": reference,
        "weights": None if weights is None else str(weights),
        "trust_factory": trust_factory,
        "allow_large": allow_large,
    }
    skipped: dict[str, str] = {}
    runs: list[BenchmarkRun] = []
    with ExitStack() as copies:
        opened = [_open(copies, path, verify_key) for path in files]
        for count in threads:
            with ExitStack() as stack:
                contestants = [_start(stack, file, count) for file in opened]
                for name in against:
                    started = _start_peer(stack, opened[0], count, name, options, pythons or {})
                    if isinstance(started, str):
                        skipped.setdefault(name, started)
                    else:
                        contestants.append(started)
                _play(contestants, rounds, progress, f"{count} thread{'s' * (count > 1)}")
                runs.extend(_result(contestant) for contestant in contestants)
    device = DeviceRuns(
        device=this_device(),
        runs=runs,
        skipped=[Skipped(label=name, reason=why) for name, why in skipped.items()],
        interleaved=True,
    )
    return Benchmark(devices=[device])


def _open(stack: ExitStack, path: Path, verify_key: str | Path | None) -> _Opened:
    """Copy and read a file; from then on errors that pass name it instead of the copy."""
    artifact, copy = stack.enter_context(read_copy(path, verify_key=verify_key))
    stack.enter_context(shown_as(str(copy.path), str(path)))
    return _Opened(artifact, copy)


def _environment(own_file: bool, threads: int) -> dict[str, str]:
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
    return keep | ({"OMP_THREAD_LIMIT": "1"} if own_file and threads > 1 else {})


def _start_peer(
    stack: ExitStack,
    opened: _Opened,
    threads: int,
    name: PeerName,
    options: Mapping[str, object],
    pythons: Mapping[str, str],
) -> _Contestant | str:
    """Start a peer, or return in words why it cannot take part.

    What a person asked for and did not get is an error, not something to skip over.
    """
    why = "" if name in pythons else peers.missing(name)
    if why:
        return why
    peer = Peer(name=name, build=peers.BUILD, options={**options, "peer": name})
    try:
        with shown_as(str(opened.copy.path), str(opened.artifact.path)):
            return _start(stack, opened, threads, peer=peer, python=pythons.get(name))
    except NoPeerModel as error:
        if options["reference"] is not None or options["weights"] is not None:
            raise
        return str(error)
    except RuntimeCheckError as error:
        return str(error)


def _start(
    stack: ExitStack,
    opened: _Opened,
    threads: int,
    *,
    peer: Peer | None = None,
    python: str | None = None,
) -> _Contestant:
    environment = _environment(peer is None, threads)
    session = stack.enter_context(start_host(environment=environment, python=python))
    # A peer is code of this machine, which exports the model in its child before it runs it.
    memory = DEFAULT_MEMORY if peer is None else 0
    artifact, file = opened.artifact, opened.copy.path
    session.load(path=file, engine="qnnpack", threads=threads, memory=memory, peer=peer)
    inputs = _input(artifact.metadata)
    run = session.forward(inputs, threads=threads)
    own = "lite interpreter" if session.family == "torch" else session.family
    runtime = f"{own if peer is None else peer.name} {session.version}"
    return _Contestant(
        label=artifact.path.name if peer is None else peer.name,
        runtime=runtime,
        opened=opened,
        own_file=peer is None,
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
    artifact, session = contestant.opened.artifact, contestant.session
    own = contestant.own_file
    return BenchmarkRun(
        label=contestant.label,
        runtime=contestant.runtime,
        model=artifact.metadata.name,
        file=artifact.path.name if own else None,
        sha256=contestant.opened.copy.sha256 if own else None,
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
