"""Outputs compared: what `runtime_check.compare` says of them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np

from runtime_check.artifact.metadata import TensorData, ToleranceSpec
from runtime_check.comparison import Tolerance, compare

from .tiny import TOLERANCE, Json, text


def _encode(arrays: Sequence[np.ndarray]) -> list[Json]:
    return [TensorData.of(array).model_dump() for array in arrays]


def _row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


Pair = tuple[str, ToleranceSpec, list[np.ndarray], list[np.ndarray]]


def _pairs() -> list[Pair]:
    """Name, tolerance, expected and actual outputs of every check."""
    good = _row(0.1, 0.2, 0.4, 0.25, 0.05)
    nudged = good + np.float32(5e-6)
    flipped = _row(0.1, 0.2, 0.25, 0.4, 0.05)
    nan, inf = math.nan, math.inf
    values = random.Random(3)
    drawn = np.array([[values.random() for _ in range(7)] for _ in range(6)], dtype=np.float32)
    noisy = drawn + np.array(
        [[values.uniform(-0.2, 0.2) for _ in range(7)] for _ in range(6)], dtype=np.float32
    )
    exact = ToleranceSpec(atol=0.0, rtol=0.0, basis="bit by bit")
    relative = ToleranceSpec(atol=0.0, rtol=0.01, basis="one percent")
    int8 = ToleranceSpec(atol=0.016, rtol=0.0, basis="8 steps of 0.002", step=0.002)
    # 0.5 apart, exactly: the bound itself passes.
    half = ToleranceSpec(atol=0.5, rtol=0.0, basis="a bound met exactly")
    return [
        ("the same bits", exact, [good], [good]),
        ("within the tolerance", TOLERANCE, [good], [nudged]),
        ("outside a tolerance of zero", exact, [good], [nudged]),
        ("two classes swapped", TOLERANCE, [good], [flipped]),
        ("int8, within eight steps", int8, [good], [good + np.float32(0.015)]),
        ("int8, nine steps", int8, [good], [good + np.float32(0.018)]),
        ("exactly on the bound", half, [_row(1.0, 2.0)], [_row(1.5, 1.5)]),
        ("relative, within", relative, [_row(100.0, -200.0)], [_row(100.5, -201.0)]),
        ("relative, outside", relative, [_row(100.0, -200.0)], [_row(100.5, -203.0)]),
        ("NaN where a number was expected", TOLERANCE, [good], [_row(0.1, nan, 0.4, 0.25, 0.05)]),
        ("NaN in the same place", TOLERANCE, [_row(nan, 0.5)], [_row(nan, 0.5)]),
        ("all NaN", TOLERANCE, [good], [_row(nan, nan, nan, nan, nan)]),
        ("the same infinity", TOLERANCE, [_row(inf, 0.0)], [_row(inf, 0.0)]),
        ("the other infinity", TOLERANCE, [_row(inf, 0.0)], [_row(-inf, 0.0)]),
        ("a tie broken on one side", half, [_row(0.5, 0.5)], [_row(0.4, 0.5)]),
        ("another shape", TOLERANCE, [good], [good[:, :4]]),
        ("a dimension more", TOLERANCE, [good], [good[0]]),
        ("another dtype", TOLERANCE, [good], [good.astype(np.float64)]),
        ("an output missing", TOLERANCE, [good, good], [good]),
        ("nothing to compare", TOLERANCE, [good[:0]], [good[:0]]),
        ("two outputs", TOLERANCE, [good, flipped], [nudged, flipped]),
        ("two outputs, the second wrong", TOLERANCE, [good, flipped], [nudged, good]),
        ("integers", exact, [np.array([1, 2, 3], np.int64)], [np.array([1, 2, 3], np.int64)]),
        ("integers, one off", exact, [np.array([1, 2, 3], np.int64)], [np.array([1, 2, 4])]),
        ("bytes", exact, [np.array([0, 255], np.uint8)], [np.array([255, 0], np.uint8)]),
        ("one class only", TOLERANCE, [_row(0.5)], [_row(0.5)]),
        ("a scalar", TOLERANCE, [np.array(0.5, np.float32)], [np.array(0.6, np.float32)]),
        ("six rows, drawn", TOLERANCE, [drawn], [noisy]),
        ("six rows, drawn, wide tolerance", half, [drawn], [noisy]),
    ]


def golden_checks() -> dict[str, str]:
    """Expected and actual outputs with the verdict `runtime_check.compare` gives.

    For each check: `problem` is null when it passes, else one of count, shape, dtype, nonfinite,
    values, empty. `max_abs` is max|d| over finite pairs (null where arrays cannot be compared or no
    pair is finite), `top1` the share of rows whose best class agrees (null likewise, and when a
    value is not finite on one side only; ties go to the lower class). Compared in float64.
    """
    checks = []
    for name, spec, expected, actual in _pairs():
        verdict = compare(expected, actual, Tolerance(atol=spec.atol, rtol=spec.rtol))
        checks.append(
            {
                "name": name,
                "tolerance": spec.model_dump(),
                "expected": _encode(expected),
                "actual": _encode(actual),
                "passes": bool(verdict),
                "problem": verdict.problem or None,
                "max_abs": verdict.max_abs,
                "top1": verdict.top1,
            }
        )
    return {"golden_checks.json": text({"about": golden_checks.__doc__, "checks": checks})}
