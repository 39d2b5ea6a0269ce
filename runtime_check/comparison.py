"""Compare two sets of outputs and say by how much they differ, in the field's figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .artifact.metadata import Golden, Metadata, ToleranceSpec
from .differences import Bound, Differences, Top, decibels, differences
from .errors import ParityError
from .found import NEAR, in_order_of
from .lone import leave_out
from .metrics import CLASSES, Agreement, Metric, agreement_of, agreement_words, measure

Arrays = np.ndarray | Sequence[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What counts as equal: `|actual - expected| <= atol + rtol * |expected|` everywhere.

    `outputs` has an `atol` of its own for each of a sample's outputs, where their scales differ.
    Of whole numbers a share of `flips` may differ, by whatever they do: classes have no distance;
    `shares` has one of its own for each output.
    `min_sqnr_db`, `min_agreement` (0 to 1, by the task's metric) and `max_steps` (with `step`, one
    quantization step of the output) are further demands, used for int8 against fp32; unset ones
    demand nothing. With `atol=inf` only those further demands hold.
    """

    atol: float = 0.0
    rtol: float = 0.0
    outputs: tuple[float, ...] = ()
    flips: float = 0.0
    shares: tuple[float, ...] = ()
    min_sqnr_db: float | None = None
    min_agreement: float | None = None
    max_steps: float | None = None
    step: float | None = None

    @staticmethod
    def of(stated: ToleranceSpec | Metadata | Golden) -> Tolerance:
        """Return the tolerance that an artifact states, for itself or for its golden vectors."""
        spec = stated if isinstance(stated, ToleranceSpec) else stated.tolerance
        return Tolerance(
            atol=spec.atol,
            rtol=spec.rtol,
            outputs=tuple(spec.outputs),
            flips=spec.flips,
            step=spec.step,
        )

    def atol_of(self, index: int) -> float:
        """Return what may differ in the array at `index`, of one sample's outputs or of several."""
        return self.outputs[index % len(self.outputs)] if self.outputs else self.atol

    def flips_of(self, index: int) -> float:
        """Return the share that may differ in the array at `index`, as `atol_of` counts them."""
        return self.shares[index % len(self.shares)] if self.shares else self.flips

    def __str__(self) -> str:
        parts = []
        if self.outputs:
            each = " / ".join(f"{atol:.3g}" for atol in self.outputs[:8])
            more = " / ..." if len(self.outputs) > 8 else ""
            parts.append(f"atol {each}{more} by output, rtol {self.rtol:.3g}")
        elif math.isfinite(self.atol):
            parts.append(f"atol {self.atol:.3g}, rtol {self.rtol:.3g}")
        if self.flips:
            parts.append(f"other classes on {self.flips:.2%}")
        if self.max_steps is not None and self.step is not None:
            parts.append(f"{self.max_steps:g} steps of {self.step:.3g}")
        if self.min_sqnr_db is not None:
            parts.append(f"SQNR >= {self.min_sqnr_db:.1f} dB")
        if self.min_agreement is not None:
            parts.append(f"agreement >= {self.min_agreement:.1%}")
        return ", ".join(parts) or "nothing demanded"


@dataclass(frozen=True, kw_only=True)
class Figures(Agreement):
    """By how much `actual` differs from `expected`, whatever is allowed.

    Of the pairs of values where both are finite. Figures that do not apply are None (those of
    another task's metric, SQNR of a silent reference). Of several outputs SQNR is that of the
    worst. `worst` is the index of the largest difference: of the array, or of all outputs as one
    flat array.
    """

    elements: int = 0
    max_abs: float | None = None
    mean_abs: float | None = None
    p99_abs: float | None = None
    max_rel: float | None = None
    sqnr_db: float | None = None
    worst: tuple[int, ...] = ()
    worst_expected: float | None = None
    worst_actual: float | None = None

    @property
    def agreement(self) -> float | None:
        """The share that agrees by the task's metric, 0 to 1; None where the task has none."""
        return agreement_of(self)


@dataclass(frozen=True, kw_only=True)
class Comparison(Figures):
    """How `actual` differs from `expected`; true when it is within `tolerance`.

    `problem` is empty, or one of `empty`, `count`, `shape`, `dtype`, `nonfinite`, `values`, with
    `detail` in words. `steps` is the largest difference in steps of the tolerance. `passing` is
    the smallest tolerance of the same kind that would have passed.
    """

    tolerance: Tolerance
    problem: str
    detail: str
    steps: float | None = None
    passing: Tolerance | None = None

    def __bool__(self) -> bool:
        return not self.problem

    def __str__(self) -> str:
        if self.problem in ("empty", "count", "shape", "dtype"):
            return self.detail
        figures = [f"max|d| {self.max_abs:.3g}" if self.max_abs is not None else "no finite pair"]
        if self.sqnr_db is not None:
            figures.append(f"SQNR {self.sqnr_db:.1f} dB")
        figures += agreement_words(self)
        head = f"{self.elements} values, " + ", ".join(figures)
        if self:
            return f"{head}: within {self.tolerance}"
        return f"{head}: {self.detail}"


def _as_arrays(value: Arrays) -> list[np.ndarray]:
    return [np.asarray(value)] if isinstance(value, np.ndarray) else [np.asarray(v) for v in value]


def _failed(tolerance: Tolerance, problem: str, detail: str) -> Comparison:
    return Comparison(tolerance=tolerance, problem=problem, detail=detail)


Kind = tuple[tuple[int, ...], np.dtype[Any]]


def unlike(
    expected: Sequence[Kind], actual: Sequence[Kind], tolerance: Tolerance
) -> Comparison | None:
    """Return the failure where counts, shapes or dtypes of outputs differ; None where none does."""
    if len(expected) != len(actual):
        return _failed(
            tolerance,
            "count",
            f"{len(expected)} outputs expected, {len(actual)} came: not comparable.",
        )
    for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
        where = f"output {index}: " if len(expected) > 1 else ""
        if one[0] != other[0]:
            return _failed(tolerance, "shape", f"{where}shape {other[0]}, expected {one[0]}.")
        if one[1] != other[1]:
            return _failed(tolerance, "dtype", f"{where}dtype {other[1]}, expected {one[1]}.")
    return None


def compare(
    expected: Arrays, actual: Arrays, tolerance: Tolerance, metric: Metric = CLASSES
) -> Comparison:
    """Compare arrays (or sequences of arrays, output by output) and judge by `tolerance`.

    `metric` is the task's: by default the last axis of the first output ranks classes.
    Shape and dtype differences are reported apart from value differences. NaN must meet NaN and
    an infinity the same infinity. Comparing nothing is a failure, unless it is that both found no
    boxes; boxes with nearly equal scores may come in either order (see `found`), and a box on
    which only rounding decides may be missing (see `lone`).
    """
    left, right = _as_arrays(expected), _as_arrays(actual)
    if metric.kind == "boxes" and math.isinf(tolerance.atol) and len(left) == len(right):
        return _compare_found(left, right, tolerance, metric)
    if len(left) == len(right):
        left, right = leave_out(metric, left, right, tolerance.atol_of, tolerance.rtol)
    other = unlike(
        [(array.shape, array.dtype) for array in left],
        [(array.shape, array.dtype) for array in right],
        tolerance,
    )
    if other is not None:
        return _with_boxes(other, left, right, metric)
    near = 0.0 if metric.scores is None else tolerance.atol_of(metric.scores)
    right = in_order_of(metric, left, right, near=max(NEAR, near))
    if sum(array.size for array in left) == 0:
        if left and metric.kind == "boxes":
            return Comparison(tolerance=tolerance, problem="", detail="no boxes on both sides")
        return _failed(tolerance, "empty", "Nothing to compare: that proves nothing, so it fails.")
    return _compare_values(left, right, tolerance, metric)


def _with_boxes(
    failed: Comparison, left: list[np.ndarray], right: list[np.ndarray], metric: Metric
) -> Comparison:
    """Add to a failure how many boxes match, which is known of whatever number they are."""
    boxed = metric.kind == "boxes" and failed.problem == "shape"
    if not boxed or len(left) % metric.outputs:
        return failed
    for index, (one, other) in enumerate(zip(left, right, strict=True)):
        if one.shape != other.shape and one.shape[1:] == other.shape[1:]:
            where = f"output {index}: " if len(left) > 1 else ""
            detail = f"{where}{len(other)} boxes, expected {len(one)}, beyond rounding."
            failed = replace(failed, detail=detail)
        if one.shape != other.shape:
            break
    return replace(failed, **vars(measure(metric, left, right)))


@dataclass(frozen=True, eq=False)
class _Pairs:
    """What one pass over all pairs of values found, array by array."""

    arrays: tuple[Differences, ...]
    whole: tuple[bool, ...]  # which arrays hold whole numbers
    p99_abs: float | None

    @property
    def is_alike(self) -> bool:
        """Whether what is not finite is the same on both sides."""
        return not any(array.unlike for array in self.arrays)


def _pair(left: list[np.ndarray], right: list[np.ndarray], tolerance: Tolerance) -> _Pairs:
    top = Top(sum(array.size for array in left), 0.99)
    arrays = tuple(
        differences(one, other, Bound(tolerance.atol_of(index), tolerance.rtol), top)
        for index, (one, other) in enumerate(zip(left, right, strict=True))
    )
    finite = sum(array.finite for array in arrays)
    return _Pairs(
        arrays=arrays,
        whole=tuple(not np.issubdtype(array.dtype, np.inexact) for array in left),
        p99_abs=top.quantile(finite) if finite else None,
    )


def _measure(
    pairs: _Pairs, left: list[np.ndarray], right: list[np.ndarray], metric: Metric
) -> Figures:
    """Compute the figures of outputs of equal shapes."""
    agreement = measure(metric, left, right) if pairs.is_alike else Agreement()
    finite = sum(array.finite for array in pairs.arrays)
    elements = sum(array.size for array in pairs.arrays)
    at, farthest = max(enumerate(pairs.arrays), key=lambda pair: pair[1].largest)
    if not finite:  # then the first value stands for all
        at = next(index for index, array in enumerate(pairs.arrays) if array.size)
        figures = Figures()
    else:
        figures = Figures(
            max_abs=farthest.largest,
            mean_abs=sum(array.total for array in pairs.arrays) / finite,
            p99_abs=pairs.p99_abs,
            max_rel=max(array.relative for array in pairs.arrays),
            sqnr_db=_worst_sqnr(pairs, metric.outputs),
        )
    inside = pairs.arrays[at].worst
    worst: tuple[int, ...] = (sum(array.size for array in pairs.arrays[:at]) + inside,)
    if len(left) == 1:
        worst = tuple(int(i) for i in np.unravel_index(inside, left[0].shape))
    return replace(
        figures,
        elements=elements,
        **vars(agreement),
        worst=worst,
        worst_expected=float(left[at].reshape(-1)[inside]),
        worst_actual=float(right[at].reshape(-1)[inside]),
    )


def _worst_sqnr(pairs: _Pairs, outputs: int) -> float | None:
    """Return the SQNR of the worst of `outputs` outputs; None where all of them are silent."""
    found = []
    for index in range(outputs):
        mine = [array for array in pairs.arrays[index::outputs] if array.finite]
        if mine:
            noise, signal = sum(a.noise for a in mine), sum(a.signal for a in mine)
            found.append(decibels(signal, noise))
    return min((value for value in found if value is not None), default=None)


def _judge_values(pairs: _Pairs, tolerance: Tolerance) -> tuple[str, list[str]]:
    """Judge value by value: the problem, and the reasons in words."""
    unlike = sum(array.unlike for array in pairs.arrays)
    if unlike:
        one, other = next(a.first_unlike for a in pairs.arrays if a.first_unlike is not None)
        return "nonfinite", [
            f"{unlike} values are NaN or infinite on one side only "
            f"(first: expected {one:g}, got {other:g})"
        ]
    # Never above float64's own noise: the bound is on float32 data.
    outside = 0
    for index, (array, whole) in enumerate(zip(pairs.arrays, pairs.whole, strict=True)):
        may_flip = bool(tolerance.flips) and whole
        if not may_flip or array.over / max(1, array.finite) > tolerance.flips_of(index):
            outside += array.over
    return ("values", [f"{outside} values are outside {tolerance}"]) if outside else ("", [])


def _judge_figures(figures: Figures, steps: float | None, tolerance: Tolerance) -> list[str]:
    """Judge the figures of all values together: the demands that are not met, in words."""
    reasons = []
    if tolerance.max_steps is not None and (steps is None or steps > tolerance.max_steps):
        got = "steps of unknown size" if steps is None else f"{steps:.2f} quantization steps"
        reasons.append(f"{got}, at most {tolerance.max_steps:g} allowed")
    quality, share = figures.sqnr_db, figures.agreement
    if tolerance.min_sqnr_db is not None and (quality is None or quality < tolerance.min_sqnr_db):
        got = "no SQNR" if quality is None else f"SQNR {quality:.1f} dB"
        reasons.append(f"{got}, at least {tolerance.min_sqnr_db:.1f} dB demanded")
    least = tolerance.min_agreement
    if least is not None and (share is None or share < least):
        got = "nothing that could agree" if share is None else f"agreement {share:.1%}"
        reasons.append(f"{got}, at least {least:.1%} demanded")
    return reasons


def _compare_values(
    left: list[np.ndarray], right: list[np.ndarray], tolerance: Tolerance, metric: Metric
) -> Comparison:
    pairs = _pair(left, right, tolerance)
    figures = _measure(pairs, left, right, metric)
    steps = None
    if figures.max_abs is not None and tolerance.step:
        steps = figures.max_abs / tolerance.step
    problem, reasons = _judge_values(pairs, tolerance)
    unmet = _judge_figures(figures, steps, tolerance)
    reasons += unmet
    problem = problem or ("values" if unmet else "")
    passing = None
    if problem == "values":
        passing = replace(
            _within(pairs, tolerance),
            min_sqnr_db=None if tolerance.min_sqnr_db is None else figures.sqnr_db,
            min_agreement=None if tolerance.min_agreement is None else figures.agreement,
            max_steps=None if tolerance.max_steps is None else steps,
        )
        reasons.append(f"a tolerance of {passing} would have passed")
    return Comparison(
        **vars(figures),
        tolerance=tolerance,
        problem=problem,
        detail="; ".join(reasons),
        steps=steps,
        passing=passing,
    )


def _compare_found(
    left: list[np.ndarray], right: list[np.ndarray], tolerance: Tolerance, metric: Metric
) -> Comparison:
    """Judge boxes of whatever number by how many match: beyond those, nothing is place by place."""
    agreement = measure(metric, left, right)
    elements = sum(array.size for array in left)
    figures = Figures(elements=elements, **vars(agreement))
    reasons = _judge_figures(figures, None, tolerance)
    problem = "values" if reasons else ""
    return Comparison(
        **vars(figures), tolerance=tolerance, problem=problem, detail="; ".join(reasons)
    )


def _within(pairs: _Pairs, tolerance: Tolerance) -> Tolerance:
    """Widen a tolerance until all values are within it."""
    arrays = [*zip(pairs.arrays, pairs.whole, strict=True)]
    if tolerance.flips:
        shares = [a.needing / a.finite for a, whole in arrays if whole and a.finite]
        tolerance = replace(tolerance, flips=max([tolerance.flips, *shares]))
        arrays = [(array, whole) for array, whole in arrays if not whole]
    if not tolerance.outputs:
        needed = max((array.needed for array, _ in arrays), default=0.0)
        return replace(tolerance, atol=max(tolerance.atol, needed))
    outputs = [*tolerance.outputs]
    for index, (array, whole) in enumerate(zip(pairs.arrays, pairs.whole, strict=True)):
        if not (tolerance.flips and whole):
            place = index % len(outputs)
            outputs[place] = max(outputs[place], array.needed)
    return replace(tolerance, atol=max(outputs), outputs=tuple(outputs))


def assert_parity(
    expected: Arrays, actual: Arrays, tolerance: Tolerance, *, what: str = ""
) -> Comparison:
    """Return the comparison, or raise `ParityError` with its figures: for users' own pytest."""
    comparison = compare(expected, actual, tolerance)
    if not comparison:
        raise ParityError(f"{what + ': ' if what else ''}{comparison}")
    return comparison
