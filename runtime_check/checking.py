"""Check one artifact: open it, rebuild the reference, run the properties, give one verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .artifact.archive import ArtifactFile, read_artifact
from .device.errors import DeviceUnavailable
from .files import file_sha256
from .options import PROFILES, CheckOptions, PropertyName
from .properties import PROPERTIES, replay
from .properties.base import Check, PropertyResult
from .properties.counterexample import load_counterexample
from .reference.reference import NoReference, Reference, build_reference
from .runtime import open_runtime


@dataclass(frozen=True, kw_only=True)
class Report:
    """The verdict on one artifact; true when no property failed."""

    artifact: ArtifactFile
    sha256: str
    runtime: str
    runtime_detail: str
    reference: str  # what the file was compared with, or why with nothing
    has_reference: bool
    seed: int
    examples: int
    seconds: float
    results: tuple[PropertyResult, ...]
    instructions: int | None = None  # of one inference, where they were asked for
    instructions_note: str = ""  # of what, or why there are none

    def __bool__(self) -> bool:
        return all(self.results)


def _reference(artifact: ArtifactFile, options: CheckOptions) -> tuple[Reference | None, str]:
    """Rebuild what to compare with; returns it with a note, or None with the reason."""
    try:
        reference = build_reference(
            artifact.metadata,
            reference=options.reference,
            weights=options.weights,
            trust_factory=options.trust_factory,
        )
    except NoReference as error:
        # What a person asked for and did not get is an error, not something to skip over.
        if options.reference is not None or options.weights is not None:
            raise
        return None, str(error)
    return reference, reference.note


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An artifact loaded in a runtime, with everything the properties need."""

    check: Check
    runtime_detail: str
    reference: str  # what it is compared with, or why with nothing


@contextmanager
def open_check(path: Path | str, options: CheckOptions) -> Iterator[Opened]:
    """Read `path`, rebuild its reference and load it in a runtime; raises as `check` does."""
    import torch

    artifact = read_artifact(path)
    reference, note = _reference(artifact, options)
    effort = PROFILES[options.profile]
    against = note
    if reference is not None:
        against = f"{reference.name}{' (' + note + ')' if note else ''}"
    before = torch.get_num_threads()
    with open_runtime(
        options.run_on, artifact.path, timeout=options.timeout, memory=options.memory
    ) as runtime:
        examples = effort.device_examples if runtime.costly else effort.examples
        torch.set_num_threads(1)  # as the file runs: eager Python must not be another summation
        try:
            yield Opened(
                check=Check(
                    artifact=artifact,
                    runtime=runtime,
                    reference=reference,
                    no_reference=note if reference is None else "",
                    examples=options.examples or examples,
                    seed=options.seed,
                    max_pixels=min(effort.max_pixels, 100_000)
                    if runtime.costly
                    else effort.max_pixels,
                    folder=options.counterexamples,
                ),
                runtime_detail=f"{runtime.description}, engine {runtime.engine}",
                reference=against,
            )
        finally:
            torch.set_num_threads(before)


def check(
    path: Path | str,
    options: CheckOptions | None = None,
    *,
    listener: Callable[[str], None] | None = None,
) -> Report:
    """Check an exported file and return the report, which is true when no property failed.

    `listener` is called with the name of each property before it runs. Raises `RuntimeCheckError`:
    the file cannot be read, the runtime is not installed, what was asked for does not exist.
    """
    options = options or CheckOptions()
    started = time.perf_counter()
    saved = None if options.replay is None else load_counterexample(options.replay)
    results = []
    with open_check(path, options) as opened:
        if saved is not None:
            results.append(replay(opened.check, saved))
        for name in _selected(options) if saved is None else ():
            if listener is not None:
                listener(name)
            results.append(PROPERTIES[name](opened.check))
    checked = opened.check
    instructions, note = _count(checked, options) if options.count else (None, "")
    return Report(
        artifact=checked.artifact,
        sha256=file_sha256(checked.artifact.path),
        runtime=checked.runtime.name,
        runtime_detail=opened.runtime_detail,
        reference=opened.reference,
        has_reference=checked.reference is not None,
        seed=options.seed,
        examples=checked.examples,
        seconds=time.perf_counter() - started,
        results=tuple(results),
        instructions=instructions,
        instructions_note=note,
    )


def _selected(options: CheckOptions) -> list[PropertyName]:
    """List the properties to check, cheap and telling ones first."""
    return [name for name in PROPERTIES if not options.properties or name in options.properties]


def _count(check: Check, options: CheckOptions) -> tuple[int | None, str]:
    """Count the instructions of one warm inference on the first golden input, or say why not."""
    if not check.runtime.costly:
        return None, "only emulated device runtimes count instructions (--run-on arm64-2.1.0)"
    case = check.artifact.golden.cases[0]
    inputs = [value.array() for value in case.inputs]
    try:
        with open_runtime(
            options.run_on,
            check.artifact.path,
            timeout=options.timeout,
            memory=options.memory,
            count=True,
        ) as counting:
            run = counting.forward(inputs, repeats=2)
    except DeviceUnavailable as error:
        return None, str(error)
    shape = " x ".join(str(n) for n in inputs[0].shape)
    return run.instructions, f"golden input {case.name!r}, {shape}, second run, one thread"
