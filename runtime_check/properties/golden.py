"""The golden vectors inside the file, and what its metadata states about it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from ..artifact.metadata import Golden, Metadata
from ..comparison import Comparison, Tolerance, compare
from ..errors import RuntimeCheckError
from .base import Check, PropertyResult, Verdict, failed, within, worse
from .inputs import (
    recipes,
)
from .search import explore


def golden(check: Check) -> PropertyResult:
    """The expected outputs inside the file come out of it on this runtime."""
    started = time.perf_counter()
    cases = check.artifact.golden.cases
    tolerance = Tolerance.of(check.artifact.golden)
    worst: Comparison | None = None
    for case in cases:
        try:
            outputs = check.runtime.forward([i.array() for i in case.inputs]).outputs
        except RuntimeCheckError as error:
            return failed("golden", f"golden vector {case.name!r}: {error}", started)
        comparison = compare([e.array() for e in case.expected], outputs, tolerance)
        worst = worse(worst, comparison)
        if not comparison:
            return failed(
                "golden", f"golden vector {case.name!r}: {comparison}", started, comparison
            )
    return PropertyResult(
        name="golden",
        status="passed",
        reason=within(worst),
        examples=len(cases),
        seconds=time.perf_counter() - started,
        comparison=worst,
    )


def examine_metadata(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Run one input and hold the outputs against what the metadata states."""
    actual = check.runtime.forward(inputs).outputs
    output = check.metadata.output
    problems = []
    if len(actual) != len(output.tensors):
        problems.append(f"{len(actual)} outputs, the metadata states {len(output.tensors)}")
    for index, (array, stated) in enumerate(zip(actual, output.tensors, strict=False)):
        if str(array.dtype) != stated.dtype or len(array.shape) != len(stated.shape):
            problems.append(
                f"output {index} is {array.dtype} {list(array.shape)}, the metadata states "
                f"{stated.dtype} {stated.shape}"
            )
    classes = actual[0].shape[-1] if actual and actual[0].ndim else 0
    if output.labels is not None and classes != len(output.labels):
        problems.append(f"{len(output.labels)} labels for {classes} outputs")
    if output.activation != "none" and actual:
        scores = actual[0].astype(np.float64)
        slack = 1e-3 if check.metadata.quantization.method != "none" else 1e-5
        if float(scores.min()) < -slack or float(scores.max()) > 1 + slack:
            problems.append(
                f"probabilities reach from {scores.min():.4g} to {scores.max():.4g}, not 0 to 1"
            )
        total = scores.sum(-1)
        if output.activation == "softmax" and not np.allclose(total, 1.0, rtol=0, atol=slack):
            problems.append(f"probabilities sum to {float(np.ravel(total)[0]):.6g}, not 1")
    return Verdict(problem="; ".join(problems), actual=tuple(actual))


def metadata(check: Check) -> PropertyResult:
    """Metadata survives a round trip and tells the truth about the file and its outputs."""
    started = time.perf_counter()
    stated, bytecode = check.metadata, check.artifact.bytecode
    if Metadata.model_validate_json(stated.model_dump_json()) != stated:
        return failed("metadata", "writing and reading the metadata changes it", started)
    vectors = check.artifact.golden
    if Golden.model_validate_json(vectors.model_dump_json()) != vectors:
        return failed("metadata", "writing and reading the golden vectors changes them", started)
    if stated.produced_by.bytecode_version != bytecode.version:
        return failed(
            "metadata",
            f"the metadata states bytecode version {stated.produced_by.bytecode_version}, the "
            f"file has {bytecode.version}",
            started,
        )
    if stated.operators != bytecode.calls:
        names = sorted(set(stated.operators.items()) ^ set(bytecode.calls.items()))
        return failed(
            "metadata",
            f"the operators stated are not those in the bytecode (first difference: {names[0]})",
            started,
        )
    strategy = recipes(stated, max_pixels=check.max_pixels)
    return explore(check, "metadata", strategy, examine_metadata)
