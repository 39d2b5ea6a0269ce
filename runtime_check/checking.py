"""Check one artifact: open it, rebuild the reference, run the properties, give one verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .artifact.archive import ArtifactFile, read_artifact
from .device.errors import DeviceUnavailable
from .errors import RuntimeCheckError
from .files import file_sha256
from .properties import PROPERTIES, replay
from .properties.base import Check, PropertyResult
from .properties.counterexample import load_counterexample
from .reference.reference import NoReference, Reference, build_reference
from .runtime import open_runtime


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How hard to look."""

    examples: int  # inputs drawn a property
    max_pixels: int  # of the largest image drawn
    device_examples: int  # under emulation, where one takes seconds


PROFILES = {
    "ci": Profile(examples=20, max_pixels=400_000, device_examples=4),
    "nightly": Profile(examples=200, max_pixels=12_000_000, device_examples=20),
}


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


def _reference(
    artifact: ArtifactFile, name: str | None, weights: Path | None, trust_factory: bool
) -> tuple[Reference | None, str]:
    try:
        found = build_reference(
            artifact.metadata, reference=name, weights=weights, trust_factory=trust_factory
        )
    except NoReference as error:
        # What a person asked for and did not get is an error, not something to skip over.
        if name is not None or weights is not None:
            raise
        return None, str(error)
    return found, found.note


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An artifact loaded in a runtime, with everything the properties need."""

    check: Check
    runtime_detail: str
    reference: str  # what it is compared with, or why with nothing


@contextmanager
def open_check(
    path: Path | str,
    *,
    runtime: str = "host",
    examples: int | None = None,
    seed: int = 0,
    profile: str = "ci",
    reference: str | None = None,
    weights: Path | None = None,
    trust_factory: bool = False,
    folder: Path = Path("counterexamples"),
    timeout: float = 300.0,
    memory: int = 8 * 2**30,
) -> Iterator[Opened]:
    """Read `path`, rebuild its reference, load it in `runtime`; the options of `check_artifact`."""
    import torch

    if profile not in PROFILES:
        raise RuntimeCheckError(f"There is no profile {profile!r}: {', '.join(PROFILES)}.")
    artifact = read_artifact(path)
    found, note = _reference(artifact, reference, weights, trust_factory)
    effort = PROFILES[profile]
    against = note if found is None else f"{found.name}{' (' + note + ')' if note else ''}"
    before = torch.get_num_threads()
    with open_runtime(runtime, artifact.path, timeout=timeout, memory=memory) as loaded:
        torch.set_num_threads(1)  # as the file runs: eager Python must not be another summation
        try:
            yield Opened(
                check=Check(
                    artifact=artifact,
                    runtime=loaded,
                    reference=found,
                    no_reference=note if found is None else "",
                    examples=examples
                    or (effort.device_examples if loaded.costly else effort.examples),
                    seed=seed,
                    max_pixels=min(effort.max_pixels, 100_000)
                    if loaded.costly
                    else effort.max_pixels,
                    folder=folder,
                ),
                runtime_detail=f"{loaded.description}, engine {loaded.engine}",
                reference=against,
            )
        finally:
            torch.set_num_threads(before)


def check_artifact(
    path: Path | str,
    *,
    runtime: str = "host",
    examples: int | None = None,
    seed: int = 0,
    profile: str = "ci",
    reference: str | None = None,
    weights: Path | None = None,
    trust_factory: bool = False,
    properties: Sequence[str] | None = None,
    replayed: Path | None = None,
    folder: Path = Path("counterexamples"),
    timeout: float = 300.0,
    memory: int = 8 * 2**30,
    count: bool = False,
    on_property: Callable[[str], None] | None = None,
) -> Report:
    """Check `path` on `runtime` and return the report.

    `runtime` is `host` or a device runtime such as `arm64-2.1.0`; `examples` (inputs drawn a
    property) overrides the profile's; `properties` names some of `PROPERTIES`; `replayed` judges
    one saved counterexample instead. `reference`, `weights` and `trust_factory` are those of
    `build_reference`. `timeout` is seconds for one answer of the runtime, `memory` bytes beyond
    what torch maps. `count` also counts the instructions of one inference, on device runtimes that
    can. `on_property` is told each name. Raises `RuntimeCheckError` (unreadable file,
    unknown name).
    """
    started = time.perf_counter()
    chosen = _chosen(properties)
    saved = None if replayed is None else load_counterexample(replayed)
    results = []
    with open_check(
        path,
        runtime=runtime,
        examples=examples,
        seed=seed,
        profile=profile,
        reference=reference,
        weights=weights,
        trust_factory=trust_factory,
        folder=folder,
        timeout=timeout,
        memory=memory,
    ) as opened:
        if saved is not None:
            results.append(replay(opened.check, saved))
        for name in chosen if saved is None else ():
            if on_property is not None:
                on_property(name)
            results.append(PROPERTIES[name](opened.check))
    check = opened.check
    instructions, note = None, ""
    if count:
        instructions, note = _count(check, runtime, timeout, memory)
    return Report(
        artifact=check.artifact,
        sha256=file_sha256(check.artifact.path),
        runtime=check.runtime.name,
        runtime_detail=opened.runtime_detail,
        reference=opened.reference,
        has_reference=check.reference is not None,
        seed=seed,
        examples=check.examples,
        seconds=time.perf_counter() - started,
        results=tuple(results),
        instructions=instructions,
        instructions_note=note,
    )


def _count(check: Check, runtime: str, timeout: float, memory: int) -> tuple[int | None, str]:
    """Count the instructions of one warm inference on the first golden input, or say why not."""
    if not check.runtime.costly:
        return None, "only emulated device runtimes count instructions (--runtime arm64-2.1.0)"
    case = check.artifact.golden.cases[0]
    inputs = [value.array() for value in case.inputs]
    path = check.artifact.path
    try:
        with open_runtime(runtime, path, timeout=timeout, memory=memory, count=True) as counting:
            run = counting.forward(inputs, repeats=2)
    except DeviceUnavailable as error:
        return None, str(error)
    shape = " x ".join(str(n) for n in inputs[0].shape)
    return run.instructions, f"golden input {case.name!r}, {shape}, second run, one thread"


def _chosen(properties: Sequence[str] | None) -> list[str]:
    for name in properties or ():
        if name not in PROPERTIES:
            raise RuntimeCheckError(f"There is no property {name!r}: {', '.join(PROPERTIES)}.")
    return [name for name in PROPERTIES if not properties or name in properties]
