"""Check one artifact: open it, rebuild the reference, run the properties, give one verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from .artifact.archive import ArtifactFile
from .device.errors import DeviceUnavailable
from .options import PROFILES, CheckOptions, PropertyName
from .properties import PROPERTIES, replay
from .properties.allowance import Allowance, allowance_of, require_sane_tolerance
from .properties.base import Check, PropertyResult, ReferenceRaised, python_side
from .properties.counterexample import load_counterexample, require_fit
from .properties.inputs import usual_recipes
from .reference.reference import NoReference, Reference, build_reference
from .reference.rounding import measure_rounding
from .runtime import Runtime, Supervised, open_runtime, read_copy

# `proven`: compared with Python on drawn inputs. `replayed`: only the file's own golden vectors
# were. `held`: what was asked for holds, and it was neither. `undecided`: nothing is proven.
Outcome = Literal["proven", "replayed", "held", "failed", "undecided"]
EXIT_CODES: dict[Outcome, int] = {
    "proven": 0, "replayed": 0, "held": 0, "failed": 1, "undecided": 3,
}  # fmt: skip
# How sure a run is of the faults that it says it would have found.
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Report:
    """The verdict on one artifact; true when what was asked for holds."""

    artifact: ArtifactFile
    sha256: str  # of the bytes that were judged
    runtime: str
    runtime_detail: str
    reference: str  # what the file was compared with, or why with nothing
    has_reference: bool
    tolerance: str  # where the tolerance of float32 comparisons comes from
    seed: int
    examples: int
    seconds: float
    results: tuple[PropertyResult, ...]
    instructions: int | None = None  # of one inference, where they were asked for
    instructions_note: str = ""  # of what, or why there are none

    def __bool__(self) -> bool:
        return self.outcome not in ("failed", "undecided")

    @property
    def outcome(self) -> Outcome:
        """The verdict in a word."""
        held = {r.name for r in self.results if r.status in ("passed", "noted")}
        if any(r.status == "failed" for r in self.results):
            return "failed"
        if any(r.status == "undecided" for r in self.results) or not held:
            return "undecided"
        if "parity" in held:
            return "proven"
        return "replayed" if "golden" in held else "held"

    @property
    def compared(self) -> int:
        """How many drawn inputs the file was compared with Python on."""
        return sum(r.examples for r in self.results if r.name == "parity" and r)

    @property
    def would_show(self) -> float | None:
        """The smallest share of such inputs, 0 to 1, on which a fault would have been found.

        With a probability of `CONFIDENCE`: n inputs miss a fault on a share p of them with
        (1 - p)^n. None where the file was not compared with Python.
        """
        count = self.compared
        return 1 - float((1 - CONFIDENCE) ** (1 / count)) if count else None


def _reference(artifact: ArtifactFile, options: CheckOptions) -> tuple[Reference | None, str]:
    """Rebuild what to compare with; returns it with a note, or None with the reason."""
    try:
        reference = build_reference(
            artifact.metadata,
            reference=options.reference,
            weights=options.weights,
            trust_factory=options.trust_factory,
            allow_large=options.allow_large,
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

    path = Path(path)
    effort = PROFILES[options.profile]
    before = torch.get_num_threads()
    with read_copy(path, verify_key=options.verify_key) as (artifact, copy):
        require_sane_tolerance(artifact.metadata, artifact.golden, where=str(path))
        reference, note = _reference(artifact, options)
        against = note
        if reference is not None:
            against = f"{reference.name}{' (' + note + ')' if note else ''}"
        torch.set_num_threads(1)  # as the file runs: eager Python must not be another summation
        try:
            with Supervised(
                _starter(copy.path, options),
                deadline=options.deadline,
                hidden=copy.path,
                shown=path,
            ) as runtime:
                examples = effort.device_examples if runtime.costly else effort.examples
                pixels = min(effort.max_pixels, 100_000) if runtime.costly else effort.max_pixels
                check = Check(
                    artifact=artifact,
                    file=copy.path,
                    sha256=copy.sha256,
                    runtime=runtime,
                    reference=reference,
                    no_reference=note if reference is None else "",
                    allowance=_allowance(artifact, reference),
                    demands=options.demands,
                    examples=options.examples or examples,
                    seed=options.seed,
                    max_pixels=pixels,
                    folder=options.counterexamples,
                    timeout=options.timeout,
                    memory=options.memory,
                )
                yield Opened(
                    check=check,
                    runtime_detail=f"{runtime.description}, engine {runtime.engine}",
                    reference=against,
                )
        finally:
            torch.set_num_threads(before)


def _starter(
    file: Path, options: CheckOptions, *, count: bool = False
) -> Callable[[], AbstractContextManager[Runtime]]:
    return partial(
        open_runtime,
        options.run_on,
        file,
        timeout=options.timeout,
        memory=options.memory,
        count=count,
    )


def _allowance(artifact: ArtifactFile, reference: Reference | None) -> Allowance:
    """Measure what may differ on inputs of our own: the file does not choose them.

    A model that raises on them leaves it unmeasured, and parity, which begins with the same
    inputs, without a verdict.
    """
    rounding = None
    if reference is not None and artifact.metadata.quantization.method == "none":
        inputs = [recipe.build() for recipe in usual_recipes(artifact.metadata)]
        with suppress(ReferenceRaised), python_side():
            rounding = measure_rounding(reference, inputs)
    return allowance_of(artifact.metadata, artifact.golden, rounding)


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
            where = f"{options.replay} does not fit {path}"
            require_fit(saved, opened.check.artifact.metadata, where=where)
            results.append(replay(opened.check, saved))
        for name in _selected(options) if saved is None else ():
            if listener is not None:
                listener(name)
            results.append(PROPERTIES[name](opened.check))
        checked = opened.check
        instructions, note = _count(checked, options) if options.count else (None, "")
    return Report(
        artifact=checked.artifact,
        sha256=checked.sha256,
        runtime=checked.runtime.name,
        runtime_detail=opened.runtime_detail,
        reference=opened.reference,
        has_reference=checked.reference is not None,
        tolerance=checked.allowance.basis,
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
        with _starter(check.file, options, count=True)() as counting:
            run = counting.forward(inputs, repeats=2)
    except DeviceUnavailable as error:
        return None, str(error)
    shape = " x ".join(str(n) for n in inputs[0].shape)
    return run.instructions, f"golden input {case.name!r}, {shape}, second run, one thread"
