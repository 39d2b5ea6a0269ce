"""The golden vectors inside the file, and what its metadata states about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..artifact.metadata import Golden, GoldenCase, Metadata, Output, OutputTensor
from ..comparison import Comparison, Tolerance
from ..reference.reference import UNSEEN
from ..reference.stated import stated_otherwise
from ..vectors import compare_golden, places_of
from .allowance import demanded
from .base import Check, Examiner, PropertyResult, Trial, Verdict, judge, verdict_of, worse
from .inputs import (
    recipes,
)
from .search import explore


def golden(check: Check) -> PropertyResult:
    """The expected outputs inside the file come out of it on this runtime.

    Replayed, not proven: the file brings both the question and the answer.
    """
    trial = Trial.begin(check, "golden")
    cases = check.artifact.golden.cases
    worst: Comparison | None = None
    values = 0
    for done, case in enumerate(cases):
        verdict = judge(check, _replay(case), [i.array() for i in case.inputs], natural=True)
        if not verdict:
            return trial.broken(
                verdict.fault or "bug",
                f"golden vector {case.name!r}: {verdict.problem}",
                examples=done + 1,
                comparison=verdict.comparison,
            )
        worst = worse(worst, verdict.comparison)
        values += verdict.values
    return trial.passed(inputs=len(cases), needed=len(cases), values=values, comparison=worst)


def _replay(case: GoldenCase) -> Examiner:
    """Make the examiner of one golden vector: within what it states, and what the user demands."""

    def examine(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
        actual = check.run(inputs)
        stated = Tolerance.of(check.artifact.golden)
        comparison = compare_golden(case.expected, actual, stated, check.metric)
        own = demanded(check.demands)
        if comparison and own is not None:
            comparison = compare_golden(case.expected, actual, own, check.metric)
        expected = [e.array() for e in case.expected]
        return verdict_of(comparison, expected, places_of(case.expected, actual))

    return examine


def examine_metadata(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Run one input and hold the outputs against what the metadata states."""
    actual = check.run(inputs)
    output = check.metadata.output
    problems = []
    if len(actual) != len(output.tensors):
        problems.append(f"{len(actual)} outputs, the metadata states {len(output.tensors)}")
    slack = 1e-3 if check.metadata.quantization.method != "none" else 1e-5
    for index, (array, stated) in enumerate(zip(actual, output.tensors, strict=False)):
        found = _other_tensor(array, stated) or _other_values(array, stated, output, index, slack)
        problems += [f"output {stated.name} {said}" for said in found]
    return Verdict(
        problem="; ".join(problems),
        fault="misstated" if problems else "",
        values=sum(array.size for array in actual),
        actual=tuple(actual),
    )


def _other_tensor(array: np.ndarray, stated: OutputTensor) -> list[str]:
    """Say how a tensor differs in kind from what is stated of it."""
    empty = array.size == 0 and 0 not in stated.shape and not stated.varies
    if not empty and str(array.dtype) == stated.dtype and array.ndim == len(stated.shape):
        return []
    return [
        f"is {array.dtype} {list(array.shape)}, the metadata states {stated.dtype} {stated.shape}"
    ]


def _other_values(
    array: np.ndarray, stated: OutputTensor, output: Output, index: int, slack: float
) -> list[str]:
    """Say what the values of a tensor are that the metadata says they are not."""
    problems = []
    axis, labels = stated.class_axis, output.labels
    if labels is not None and axis is not None and array.shape[axis] != len(labels):
        problems.append(f"has {array.shape[axis]} classes, and there are {len(labels)} labels")
    if not array.size:
        return problems
    values = array.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if stated.holds in ("class_map", "class_index"):
        problems += _other_classes(values, output, index)
    if stated.holds == "mask" and not np.isin(values, (0.0, 1.0)).all():
        problems.append(f"is a mask of values from {low:g} to {high:g}, not 0 and 1")
    if stated.holds != "probabilities":
        return problems
    if low < -slack or high > 1 + slack:
        problems.append(f"holds probabilities from {low:.4g} to {high:.4g}, not 0 to 1")
    if axis is not None and any(s.function == "softmax" for s in output.steps(index)):
        total = values.sum(axis)
        if not np.allclose(total, 1.0, rtol=0, atol=slack):
            problems.append(
                f"holds probabilities that sum to {float(np.ravel(total)[0]):.6g}, not 1"
            )
    return problems


def _other_classes(values: np.ndarray, output: Output, index: int) -> list[str]:
    """Say which values of a tensor are no classes."""
    if any(step.function == "resize" for step in output.steps(index)):
        values = values[values != UNSEEN]
    if not values.size:
        return []
    low, high = float(values.min()), float(values.max())
    whole = low >= 0 and bool((values == np.rint(values)).all())
    if whole and (output.labels is None or high < len(output.labels)):
        return []
    known = output.labels
    wanted = "not whole numbers from 0" if known is None else f"and there are {len(known)}"
    return [f"holds classes from {low:g} to {high:g}, {wanted}"]


def metadata(check: Check) -> PropertyResult:
    """Metadata survives a round trip and tells the truth about the file and its outputs."""
    misstated = _misstated(check)
    if misstated:
        return Trial.begin(check, "metadata").broken("misstated", misstated)
    strategy = recipes(check.metadata, max_pixels=check.max_pixels)
    result = explore(check, "metadata", strategy, examine_metadata)
    other = (
        [] if check.reference is None else stated_otherwise(check.metadata, check.reference.network)
    )
    if result.status == "passed" and other:
        return replace(result, status="noted", reason=f"the file states {'; '.join(other)}")
    return result


def _misstated(check: Check) -> str:
    """Hold the metadata against the file, without running it; "" where it tells the truth."""
    stated, bytecode, vectors = check.metadata, check.artifact.bytecode, check.artifact.golden
    if Metadata.model_validate_json(stated.model_dump_json()) != stated:
        return "writing and reading the metadata changes it"
    if Golden.model_validate_json(vectors.model_dump_json()) != vectors:
        return "writing and reading the golden vectors changes them"
    if bytecode is None:
        return ""  # a program: its hash was compared when the file was read
    if stated.produced_by.bytecode_version != bytecode.version:
        return (
            f"the metadata states bytecode version {stated.produced_by.bytecode_version}, the "
            f"file has {bytecode.version}"
        )
    if stated.operators != bytecode.calls:
        names = sorted(set(stated.operators.items()) ^ set(bytecode.calls.items()))
        return f"the operators stated are not those in the bytecode (first difference: {names[0]})"
    # An int8 file is judged by other figures than a float32 one.
    quantized = any(name.startswith("quantized::") for name in bytecode.calls)
    if quantized != (stated.quantization.method != "none"):
        holds = "quantized operators" if quantized else "no quantized operator"
        return f"the metadata states quantization {stated.quantization.method!r}, the file {holds}"
    return ""
