"""The file computes what the Python model computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from torch import Tensor

from ..artifact.metadata import EAGER_STAGE, ImageInput, Metadata, TensorInput
from ..comparison import Tolerance, compare
from ..metrics import agreement_of, metric_of
from ..options import Demands
from ..reference.rounding import measure_rounding
from .allowance import demanded
from .base import (
    UNPROVEN,
    Check,
    PropertyResult,
    Trial,
    Verdict,
    judge,
    skipped,
    verdict_of,
)
from .counterexample import save_counterexample
from .inputs import (
    NATURAL,
    Recipe,
    image_recipes,
    tensor_recipes,
    unresized_size,
    usual_recipes,
)
from .logits import compare_logits
from .search import draw, explore
from .spread import Spread

# An int8 file may fall this far below the SQNR its own ledger states: other inputs, other noise.
SQNR_SLACK_DB = 6.0
AGREEMENT_SLACK = 0.1
# Whatever the ledger states: below it the error is half as strong as the signal.
LEAST_SQNR_DB = 3.0


def examine_parity(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Run one input in Python and in the file; probabilities also as the logits behind them."""
    assert check.reference is not None
    raw = check.raw(inputs)
    expected = check.reference.finish(raw, inputs)
    actual = check.run(inputs)
    flips = _flips(check, raw)
    allowed = replace(check.allowance.for_outputs(expected), flips=flips)
    comparison = compare(expected, actual, allowed, check.metric)
    if comparison.problem == "values" and check.allowance.rounding is not None:
        # Some inputs round worse than those that the allowance was measured on.
        own = measure_rounding(check.reference, [inputs])
        wider = replace(check.allowance, rounding=own).for_outputs(expected)
        wider = replace(wider, flips=flips)
        comparison = compare(expected, actual, wider, check.metric)
    own_demand = demanded(check.demands)
    if comparison and own_demand is not None:
        comparison = compare(expected, actual, own_demand, check.metric)
    if not comparison:
        return verdict_of(comparison, expected, actual)
    telling = True
    for step in check.metadata.output.added:
        index, kind = step.output, step.function
        if kind not in ("softmax", "sigmoid") or len(check.metadata.output.steps(index)) > 1:
            continue
        atol = check.allowance.for_raw(index, raw[index].numpy())
        before = compare_logits(kind, expected[index], actual[index], atol)
        if not before.comparison:
            problem = f"{check.metadata.output.tensors[index].name}, before the {kind}: {{}}"
            return verdict_of(before.comparison, expected, actual, problem=problem)
        # Where another output tells, this one may be saturated.
        telling = before.telling or len(expected) > 1
    return verdict_of(comparison, expected, actual, telling=telling)


def _flips(check: Check, raw: Sequence[Tensor]) -> float:
    """Return the share of a class map's pixels whose class may hang on rounding.

    Those whose two best scores, of Python's, lie within twice what each may differ by; twice as
    many, because the part of the map that the photo shows may have more of them.
    """
    share = 0.0
    for step in check.metadata.output.added:
        if step.function != "argmax" or step.axis is None:
            continue
        scores = raw[step.output]
        best = scores.double().topk(2, dim=step.axis).values
        margin = best.select(step.axis, 0) - best.select(step.axis, 1)
        near = margin <= 2 * check.allowance.for_raw(step.output, scores.numpy())
        share = max(share, 2 * float(near.double().mean()) + 2 / max(1, near.numel()))
    return min(1.0, share)


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
    if check.reference is None and check.demands:
        wanted = ", ".join(name for name, _ in check.demands.items())
        return Trial.begin(check, "parity").broken(
            "no-reference", f"{wanted} cannot be judged: {check.no_reference}"
        )
    if check.reference is None:
        return skipped("parity", check.no_reference)
    if check.metadata.quantization.method != "none":
        return _int8_parity(check)
    usual = usual_recipes(check.metadata)  # whatever is drawn, these tell
    result = explore(check, "parity", _parity_recipes(check), examine_parity, first=usual)
    if not result or not (check.demands.min_sqnr_db or check.demands.min_agreement):
        return result
    together = _together(check, Trial.begin(check, "parity"), _demand(check.demands))
    return result if together else together


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """One drawn input with Python's outputs and the file's, or what went wrong."""

    recipe: Recipe
    verdict: Verdict


def _int8_parity(check: Check) -> PropertyResult:
    """Judge an int8 file against fp32 Python over many inputs at once: SQNR and agreement.

    One input proves nothing for int8. The demand is what the file's own ledger states, less a
    slack, and never less than `LEAST_SQNR_DB`.
    """
    stated, own = _int8_demand(check.metadata), _demand(check.demands)
    demand = Tolerance(
        atol=np.inf,
        min_sqnr_db=_most(stated.min_sqnr_db, own.min_sqnr_db),
        min_agreement=_most(stated.min_agreement, own.min_agreement),
    )
    return _together(check, Trial.begin(check, "parity"), demand)


def _most(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _together(check: Check, trial: Trial, demand: Tolerance) -> PropertyResult:
    """Judge the outputs of all inputs at once by their figures."""
    pairs = _pairs(check)
    wrong = next((pair for pair in pairs if not pair.verdict), None)
    if wrong is not None:
        return _failure(trial, wrong, wrong.verdict.problem, len(pairs))
    if not pairs:
        return trial.passed(inputs=0, needed=check.examples, values=0)
    total = compare(
        [array for pair in pairs for array in pair.verdict.expected],
        [array for pair in pairs for array in pair.verdict.actual],
        demand,
        check.metric,
    )
    stored = "fp32" if check.metadata.quantization.method == "none" else "int8"
    reason = f"{stored} against fp32 Python: {total}"
    if not total:
        worst = max(pairs, key=_distance)
        verdict = replace(worst.verdict, problem=str(total), fault="differs", comparison=total)
        return _failure(trial, replace(worst, verdict=verdict), reason, len(pairs))
    spread = Spread()
    for pair in pairs:
        spread.add(pair.verdict.expected, 0.0)
    if all(spread.constant() or [False]):
        return trial.broken(
            "constant",
            f"Python's outputs are the same for all of {len(pairs)} inputs: nothing is proven",
            examples=len(pairs),
            comparison=total,
        )
    return trial.passed(
        inputs=len(pairs),
        needed=check.examples,
        values=total.elements,
        reason=reason,
        comparison=total,
    )


def _examine_distance(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Run one input on both sides, and measure."""
    expected = check.expect(inputs)
    actual = check.run(inputs)
    tolerance = demanded(check.demands) or Tolerance(atol=np.inf)
    comparison = compare(expected, actual, tolerance, check.metric)
    return verdict_of(comparison, expected, actual)


def _pairs(check: Check) -> list[_Pair]:
    """Draw inputs and run each on both sides, up to the first that cannot be compared."""
    contents = tuple(name for name in NATURAL if name != "constant")
    spec = check.metadata.input
    strategy: st.SearchStrategy[Any]
    if isinstance(spec, ImageInput):
        strategy = image_recipes(spec, contents=contents, max_pixels=check.max_pixels)
    else:
        strategy = tensor_recipes(spec, contents=("normal",))
    pairs = []
    for recipe in draw(strategy, check.examples, check.seed):
        verdict = judge(check, _examine_distance, recipe.build(), recipe.natural)
        pairs.append(_Pair(recipe=recipe, verdict=verdict))
        if not verdict:
            break
    return pairs


def _distance(pair: _Pair) -> float:
    comparison = pair.verdict.comparison
    return comparison.max_abs or 0.0 if comparison is not None else 0.0


def _failure(trial: Trial, pair: _Pair, reason: str, examples: int) -> PropertyResult:
    verdict, path = pair.verdict, None
    if verdict.fault not in UNPROVEN:
        path = save_counterexample(trial.check, trial.name, pair.recipe, verdict)
    return trial.broken(
        verdict.fault or "bug",
        reason,
        examples=examples,
        comparison=verdict.comparison,
        minimal=repr(pair.recipe),
        counterexample=path,
    )


def _demand(demands: Demands) -> Tolerance:
    return Tolerance(
        atol=np.inf, min_sqnr_db=demands.min_sqnr_db, min_agreement=demands.min_agreement
    )


def _int8_demand(metadata: Metadata) -> Tolerance:
    stated = [
        row
        for row in metadata.ledger
        if row.stage != EAGER_STAGE and (row.sqnr_db is not None or row.boxes is not None)
    ]
    last = stated[-1] if stated else None
    sqnr = 0.0 if last is None or last.sqnr_db is None else last.sqnr_db - SQNR_SLACK_DB
    share = None if last is None else agreement_of(last)
    least = None if share is None else max(0.0, share - AGREEMENT_SLACK)
    if metric_of(metadata).kind == "boxes":  # which come and go: what counts is how many match
        return Tolerance(atol=np.inf, min_agreement=least)
    return Tolerance(atol=np.inf, min_sqnr_db=max(LEAST_SQNR_DB, sqnr), min_agreement=least)
