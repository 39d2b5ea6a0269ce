"""The same input gives the same bits; a batch gives what its rows give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from ..artifact.metadata import ImageInput
from ..comparison import Tolerance, compare
from .base import Check, PropertyResult, Verdict, skipped
from .inputs import (
    recipes,
    tensor_recipes,
)
from .parity import scaled_tolerance
from .search import explore


def examine_determinism(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Run one input twice on one thread and once on two."""
    first = check.runtime.forward(inputs).outputs
    for _ in range(2):
        again = check.runtime.forward(inputs).outputs
        bits = compare(first, again, Tolerance())
        if not bits or any(a.tobytes() != b.tobytes() for a, b in zip(first, again, strict=True)):
            return Verdict(
                problem=f"the same input twice gave different bits: {bits}",
                comparison=bits,
                expected=tuple(first),
                actual=tuple(again),
            )
    if check.runtime.costly:
        return Verdict(comparison=bits)
    threaded = check.runtime.forward(inputs, threads=2).outputs
    comparison = compare(first, threaded, scaled_tolerance(check, first))
    return Verdict(
        problem="" if comparison else f"2 threads against 1: {comparison}",
        comparison=comparison,
        expected=tuple(first),
        actual=tuple(threaded),
    )


def determinism(check: Check) -> PropertyResult:
    """The same input gives the same bits; 2 threads agree with 1 within tolerance."""
    if check.runtime.costly:
        check = replace(check, examples=min(check.examples, 2))  # each costs three runs
    strategy = recipes(check.metadata, max_pixels=check.max_pixels)
    return explore(check, "determinism", strategy, examine_determinism)


def examine_batch(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Run a batch and its rows one by one."""
    together = check.runtime.forward(inputs).outputs
    count = inputs[0].shape[0]
    parts = [check.runtime.forward([a[i : i + 1] for a in inputs]).outputs for i in range(count)]
    apart = [np.concatenate(list(column)) for column in zip(*parts, strict=True)]
    comparison = compare(apart, together, scaled_tolerance(check, apart))
    return Verdict(
        problem="" if comparison else f"a batch of {count} against its rows: {comparison}",
        comparison=comparison,
        expected=tuple(apart),
        actual=tuple(together),
    )


def batch(check: Check) -> PropertyResult:
    """A batch gives what its rows give one by one."""
    spec = check.metadata.input
    if isinstance(spec, ImageInput):
        return skipped("batch", "the file takes one image at a time")
    if not spec.dynamic_batch:
        return skipped("batch", "the file takes one fixed batch size")
    strategy = tensor_recipes(
        spec, contents=("normal", "zero", "constant"), batches=st.integers(2, 4)
    )
    return explore(check, "batch", strategy, examine_batch)
