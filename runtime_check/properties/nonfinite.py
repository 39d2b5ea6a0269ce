"""NaN and infinities in the input are not hidden by ordinary numbers in the output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..artifact.metadata import ImageInput
from ..comparison import Tolerance, compare
from .base import Check, PropertyResult, Verdict, skipped, verdict_of
from .inputs import (
    NONFINITE_CONTENTS,
    tensor_recipes,
)
from .search import explore


def examine_nonfinite(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Run one input that is not finite in Python and in the file."""
    expected = check.expect(inputs)
    actual = check.run(inputs)
    shapes = compare(expected, actual, Tolerance())
    if shapes.problem in ("count", "shape", "dtype", "empty"):
        return verdict_of(shapes, expected, actual)
    hidden = sum(
        int((~np.isfinite(e) & np.isfinite(a)).sum()) for e, a in zip(expected, actual, strict=True)
    )
    remark = ""
    if hidden:
        remark = (
            f"Python answers NaN or infinity and the file {hidden} ordinary numbers "
            "(XNNPACK's clamp swallows NaN): a phone will not show that its input was broken"
        )
    values = sum(array.size for array in actual)
    return Verdict(values=values, expected=tuple(expected), actual=tuple(actual), remark=remark)


def nonfinite(check: Check) -> PropertyResult:
    """NaN and infinities in the input are not hidden by ordinary numbers in the output.

    Noted, not failed: XNNPACK's fused clamp (ReLU6, hardswish) does this by design.
    """
    spec = check.metadata.input
    if isinstance(spec, ImageInput):
        return skipped("nonfinite", "a uint8 image cannot hold NaN or infinity")
    if check.reference is None:
        return skipped("nonfinite", check.no_reference)
    strategy = tensor_recipes(spec, contents=NONFINITE_CONTENTS)
    return explore(check, "nonfinite", strategy, examine_nonfinite)
