"""The same input gives the same bits; a batch gives what its rows give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from ..artifact.metadata import ImageInput
from ..comparison import Tolerance, compare
from .base import Check, PropertyResult, Verdict, skipped, verdict_of
from .inputs import (
    recipes,
    tensor_recipes,
)
from .search import explore


def examine_determinism(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Run one input twice on one thread and once on two."""
    first = check.run(inputs)
    for _ in range(2):
        again = check.run(inputs)
        bits = compare(first, again, Tolerance(), check.metric)
        if not bits or any(a.tobytes() != b.tobytes() for a, b in zip(first, again, strict=True)):
            return Verdict(
                problem=f"the same input twice gave different bits: {bits}",
                fault="differs",
                comparison=bits,
                values=bits.elements,
                expected=tuple(first),
                actual=tuple(again),
            )
    if check.runtime.costly:
        return Verdict(comparison=bits, values=bits.elements)
    threaded = check.run(inputs, threads=2)
    comparison = compare(first, threaded, check.allowance.for_outputs(first), check.metric)
    return verdict_of(comparison, first, threaded, problem="2 threads against 1: {}")


def determinism(check: Check) -> PropertyResult:
    """The same input gives the same bits; 2 threads agree with 1 within tolerance."""
    if check.runtime.costly:
        check = replace(check, examples=min(check.examples, 2))  # each costs three runs
    strategy = recipes(check.metadata, max_pixels=check.max_pixels)
    return explore(check, "determinism", strategy, examine_determinism)


def examine_batch(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Run a batch and its rows one by one."""
    together = check.run(inputs)
    count = inputs[0].shape[0]
    parts = [check.run([a[i : i + 1] for a in inputs]) for i in range(count)]
    if len({len(part) for part in parts}) != 1 or any(a.ndim == 0 for part in parts for a in part):
        problem = f"the rows of a batch of {count} give outputs that do not make a batch"
        return Verdict(problem=problem, fault="differs", actual=tuple(together))
    apart = [np.concatenate(list(column)) for column in zip(*parts, strict=True)]
    comparison = compare(apart, together, check.allowance.for_outputs(apart), check.metric)
    problem = f"a batch of {count} against its rows: {{}}"
    return verdict_of(comparison, apart, together, problem=problem)


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
