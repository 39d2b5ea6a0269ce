"""The properties of an artifact, each a plain function from a `Check` to a `PropertyResult`.

Hypothesis draws the inputs and shrinks what fails. One examiner a property judges one input, so
that a saved counterexample can be judged again (`replay`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..comparison import compare
from ..errors import RuntimeCheckError
from ..options import PropertyName
from .base import Check, Examiner, PropertyResult, Trial, Verdict, judge, verdict_of
from .counterexample import Counterexample
from .determinism import batch, determinism, examine_batch, examine_determinism
from .golden import examine_metadata, golden, metadata
from .load_anywhere import load_anywhere
from .nonfinite import examine_nonfinite, nonfinite
from .parity import examine_parity, parity
from .preprocessing import examine_preprocessing, preprocessing

# Cheap and telling first.
PROPERTIES: dict[PropertyName, Callable[[Check], PropertyResult]] = {
    "golden": golden,
    "metadata": metadata,
    "parity": parity,
    "preprocessing": preprocessing,
    "determinism": determinism,
    "batch": batch,
    "nonfinite": nonfinite,
    "load-anywhere": load_anywhere,
}


EXAMINERS: dict[str, Examiner] = {
    "parity": examine_parity,
    "nonfinite": examine_nonfinite,
    "determinism": examine_determinism,
    "batch": examine_batch,
    "metadata": examine_metadata,
    "preprocessing": examine_preprocessing,
}


NEEDS_REFERENCE = frozenset({"parity", "nonfinite"})


def replay(check: Check, saved: Counterexample) -> PropertyResult:
    """Judge a saved input again.

    Without a reference, the saved expected outputs stand in for it.
    """
    trial = Trial.begin(check, saved.property)
    examine = EXAMINERS.get(saved.property)
    if examine is None:
        raise RuntimeCheckError(
            f"The counterexample is of the property {saved.property!r}, which this release does "
            f"not know: {', '.join(EXAMINERS)}."
        )
    if check.reference is None and saved.property in NEEDS_REFERENCE:
        examine = _against(saved.expected)
    verdict = judge(check, examine, saved.inputs, saved.natural)
    if not verdict:
        return trial.broken(
            verdict.fault or "bug",
            verdict.problem,
            examples=1,
            comparison=verdict.comparison,
            minimal=saved.recipe,
        )
    return replace(
        trial.passed(inputs=1, needed=1, values=verdict.values, comparison=verdict.comparison),
        minimal=saved.recipe,
    )


def _against(expected: Sequence[np.ndarray]) -> Examiner:
    """Make an examiner that compares with saved outputs."""

    def examine(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
        actual = check.run(inputs)
        comparison = compare(
            list(expected), actual, check.allowance.for_outputs(expected), check.metric
        )
        return verdict_of(comparison, expected, actual)

    return examine
