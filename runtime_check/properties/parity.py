"""The file computes what the Python model computes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..artifact.metadata import EAGER_STAGE, ImageInput, Metadata, TensorInput
from ..comparison import Tolerance, compare
from ..errors import RuntimeCheckError
from .base import Check, Outputs, PropertyResult, Verdict, skipped
from .counterexample import save_counterexample
from .inputs import (
    NATURAL,
    Recipe,
    image_recipes,
    tensor_recipes,
    unresized_size,
)
from .search import draw, explore

# An int8 file may fall this far below the SQNR its own ledger states: other inputs, other noise.
SQNR_SLACK_DB = 6.0


TOP1_SLACK = 0.1


def scaled_tolerance(check: Check, expected: Outputs) -> Tolerance:
    """Let the absolute tolerance grow with the outputs: rounding is relative to what is summed.

    The stated tolerance was measured on ordinary inputs, whose outputs the golden vectors show.
    """
    stated = check.tolerance
    if check.metadata.output.activation != "none":
        return stated
    usual = max(
        (float(np.abs(_finite(e.array())).max(initial=0.0)) for c in check.artifact.golden.cases
         for e in c.expected),
        default=0.0,
    )  # fmt: skip
    largest = max((float(np.abs(_finite(e)).max(initial=0.0)) for e in expected), default=0.0)
    grown = max(1.0, largest / usual) if usual else 1.0
    return Tolerance(atol=stated.atol * grown, rtol=stated.rtol, step=stated.step)


def _finite(array: np.ndarray) -> np.ndarray:
    values = array.astype(np.float64)
    finite: np.ndarray = values[np.isfinite(values)]
    return finite


def examine_parity(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Run one input in Python and in the file."""
    assert check.reference is not None
    expected = check.reference.forward(inputs)
    actual = check.runtime.forward(inputs).outputs
    comparison = compare(expected, actual, scaled_tolerance(check, expected))
    return Verdict(
        problem="" if comparison else str(comparison),
        comparison=comparison,
        expected=tuple(expected),
        actual=tuple(actual),
    )


def _parity_recipes(check: Check) -> st.SearchStrategy[Any]:
    """Inputs that the reference and the graph must treat alike down to float rounding.

    For images: sizes that timm's transform crops without resizing, so that Pillow's rounding to
    8 bits has no part in it; other sizes are the `preprocessing` property's.
    """
    spec, preprocessing = check.metadata.input, check.metadata.preprocessing
    if isinstance(spec, TensorInput):
        return tensor_recipes(spec)
    assert preprocessing is not None
    height, width = unresized_size(preprocessing)
    sizes: st.SearchStrategy[tuple[int, int]] = st.just((height, width))
    if preprocessing.crop_mode == "center" and height == width:
        longest = min(spec.max_side, check.max_pixels // height, height * spec.max_aspect)
        longest = max(height, longest)
        longer = st.integers(height, longest) | st.just(longest)
        sizes = sizes | st.builds(lambda n: (height, n), longer)
        sizes = sizes | st.builds(lambda n: (n, width), longer)
    return image_recipes(spec, sizes=sizes)


def parity(check: Check) -> PropertyResult:
    """The file computes what the Python model computes."""
    if check.reference is None:
        return skipped("parity", check.no_reference)
    if check.metadata.quantization.method != "none":
        return _int8_parity(check)
    return explore(check, "parity", _parity_recipes(check), examine_parity)


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """One drawn input with Python's outputs and the file's, or what went wrong."""

    recipe: Recipe
    verdict: Verdict


def _int8_parity(check: Check) -> PropertyResult:
    """Judge an int8 file against fp32 Python over many inputs at once: SQNR and top-1 agreement.

    One input proves nothing for int8. The demand is what the file's own ledger states, less a
    slack; a file without a ledger row is held to a positive SQNR.
    """
    started = time.perf_counter()
    pairs = _pairs(check)
    wrong = next((pair for pair in pairs if not pair.verdict), None)
    if wrong is not None:
        return _int8_failure(check, wrong, wrong.verdict.problem, len(pairs), started)
    # The first output, flat, inputs below each other: top-1 is that of the first head.
    total = compare(
        np.concatenate([pair.verdict.expected[0].reshape(1, -1) for pair in pairs]),
        np.concatenate([pair.verdict.actual[0].reshape(1, -1) for pair in pairs]),
        _int8_demand(check.metadata),
    )
    reason = f"int8 against fp32 Python: {total}"
    if not total:
        worst = max(pairs, key=_distance)
        verdict = replace(worst.verdict, problem=str(total), comparison=total)
        worst = replace(worst, verdict=verdict)
        return _int8_failure(check, worst, reason, len(pairs), started)
    return PropertyResult(
        name="parity",
        status="passed",
        reason=reason,
        examples=len(pairs),
        seconds=time.perf_counter() - started,
        comparison=total,
    )


def _pairs(check: Check) -> list[_Pair]:
    """Draw inputs and run each on both sides, up to the first that cannot be compared."""
    assert check.reference is not None
    contents = tuple(name for name in NATURAL if name != "constant")
    spec = check.metadata.input
    strategy: st.SearchStrategy[Any]
    if isinstance(spec, ImageInput):
        strategy = image_recipes(spec, contents=contents, max_pixels=check.max_pixels)
    else:
        strategy = tensor_recipes(spec, contents=("normal",))
    drawn = draw(strategy, check.examples, check.seed)
    pairs = []
    for recipe in drawn:
        inputs = recipe.build()
        expected = check.reference.forward(inputs)
        try:
            actual = check.runtime.forward(inputs).outputs
        except RuntimeCheckError as error:
            verdict = Verdict(problem=str(error), expected=tuple(expected))
        else:
            single = compare(expected, actual, Tolerance(atol=np.inf))
            verdict = Verdict(
                problem="" if single else str(single),
                comparison=single,
                expected=tuple(expected),
                actual=tuple(actual),
            )
        pairs.append(_Pair(recipe=recipe, verdict=verdict))
        if not verdict:
            break
    return pairs


def _distance(pair: _Pair) -> float:
    comparison = pair.verdict.comparison
    return comparison.max_abs or 0.0 if comparison is not None else 0.0


def _int8_failure(
    check: Check, pair: _Pair, reason: str, examples: int, started: float
) -> PropertyResult:
    return PropertyResult(
        name="parity",
        status="failed",
        reason=reason,
        examples=examples,
        seconds=time.perf_counter() - started,
        comparison=pair.verdict.comparison,
        minimal=repr(pair.recipe),
        counterexample=save_counterexample(check, "parity", pair.recipe, pair.verdict),
    )


def _int8_demand(metadata: Metadata) -> Tolerance:
    stated = [
        row for row in metadata.ledger if row.sqnr_db is not None and row.stage != EAGER_STAGE
    ]
    last = stated[-1] if stated else None
    sqnr = 0.0 if last is None or last.sqnr_db is None else last.sqnr_db - SQNR_SLACK_DB
    top1 = None if last is None or last.top1 is None else max(0.0, last.top1 - TOP1_SLACK)
    return Tolerance(atol=np.inf, min_sqnr_db=max(0.0, sqnr), min_top1=top1)
