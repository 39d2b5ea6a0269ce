"""Compare two sets of outputs and say by how much they differ, in the field's figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .artifact.metadata import Golden, Metadata, ToleranceSpec
from .errors import ParityError

Arrays = np.ndarray | Sequence[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What counts as equal: `|actual - expected| <= atol + rtol * |expected|` everywhere.

    `min_sqnr_db`, `min_top1` (0 to 1) and `max_steps` (with `step`, one quantization step of the
    output) are further demands, used for int8 against fp32; unset ones demand nothing.
    With `atol=inf` only those further demands hold.
    """

    atol: float = 0.0
    rtol: float = 0.0
    min_sqnr_db: float | None = None
    min_top1: float | None = None
    max_steps: float | None = None
    step: float | None = None

    @staticmethod
    def of(stated: ToleranceSpec | Metadata | Golden) -> Tolerance:
        """Return the tolerance that an artifact states, for itself or for its golden vectors."""
        spec = stated if isinstance(stated, ToleranceSpec) else stated.tolerance
        return Tolerance(atol=spec.atol, rtol=spec.rtol, step=spec.step)

    def __str__(self) -> str:
        parts = []
        if math.isfinite(self.atol):
            parts.append(f"atol {self.atol:.3g}, rtol {self.rtol:.3g}")
        if self.max_steps is not None and self.step is not None:
            parts.append(f"{self.max_steps:g} steps of {self.step:.3g}")
        if self.min_sqnr_db is not None:
            parts.append(f"SQNR >= {self.min_sqnr_db:.1f} dB")
        if self.min_top1 is not None:
            parts.append(f"top-1 agreement >= {self.min_top1:.1%}")
        return ", ".join(parts) or "nothing demanded"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """By how much `actual` differs from `expected`, whatever is allowed.

    Of the pairs of values where both are finite. Figures that do not apply are None (top-k without
    a class axis of at least two, SQNR of a silent reference). `worst` is the index of the largest
    difference: of the array, or of all outputs as one flat array.
    """

    elements: int = 0
    max_abs: float | None = None
    mean_abs: float | None = None
    p99_abs: float | None = None
    max_rel: float | None = None
    sqnr_db: float | None = None
    top1: float | None = None
    top5: float | None = None
    worst: tuple[int, ...] = ()
    worst_expected: float | None = None
    worst_actual: float | None = None


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
        if self.top1 is not None:
            figures.append(f"top-1 {self.top1:.1%}")
        head = f"{self.elements} values, " + ", ".join(figures)
        if self:
            return f"{head}: within {self.tolerance}"
        return f"{head}: {self.detail}"


def _as_arrays(value: Arrays) -> list[np.ndarray]:
    return [np.asarray(value)] if isinstance(value, np.ndarray) else [np.asarray(v) for v in value]


def sqnr_db(expected: np.ndarray, actual: np.ndarray) -> float | None:
    """Signal to quantization noise in dB: 10 log10(sum e^2 / sum (e - a)^2).

    Infinite for identical arrays; None where the reference is all zero.
    """
    reference = expected.astype(np.float64).ravel()
    noise = float(np.sum((reference - actual.astype(np.float64).ravel()) ** 2))
    signal = float(np.sum(reference**2))
    if noise == 0.0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0.0 else None


def _ranked(rows: np.ndarray, k: int) -> np.ndarray:
    # A stable sort, so that ties fall the same way on both sides; of float64, because unsigned
    # numbers wrap around when negated.
    return np.argsort(-rows.astype(np.float64), axis=-1, kind="stable")[:, :k]


def topk_agreement(expected: np.ndarray, actual: np.ndarray, k: int) -> float | None:
    """Share of rows whose top-k label sets agree, by overlap: |A & B| / k, averaged.

    Rows are all dimensions but the last. None with fewer than two classes or fewer than k.
    """
    if expected.ndim == 0 or expected.shape[-1] < max(2, k):
        return None
    first = _ranked(expected.reshape(-1, expected.shape[-1]), k)
    second = _ranked(actual.reshape(-1, actual.shape[-1]), k)
    if not len(first):
        return None
    shared = [
        len(set(a) & set(b)) / k for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]
    return float(np.mean(shared))


def _failed(tolerance: Tolerance, problem: str, detail: str) -> Comparison:
    return Comparison(tolerance=tolerance, problem=problem, detail=detail)


def compare(expected: Arrays, actual: Arrays, tolerance: Tolerance) -> Comparison:
    """Compare arrays (or sequences of arrays, output by output) and judge by `tolerance`.

    Shape and dtype differences are reported apart from value differences. NaN must meet NaN and
    an infinity the same infinity. Comparing nothing is a failure.
    """
    left, right = _as_arrays(expected), _as_arrays(actual)
    if len(left) != len(right):
        return _failed(
            tolerance, "count", f"{len(left)} outputs expected, {len(right)} came: not comparable."
        )
    for index, (one, other) in enumerate(zip(left, right, strict=True)):
        where = f"output {index}: " if len(left) > 1 else ""
        if one.shape != other.shape:
            return _failed(tolerance, "shape", f"{where}shape {other.shape}, expected {one.shape}.")
        if one.dtype != other.dtype:
            return _failed(tolerance, "dtype", f"{where}dtype {other.dtype}, expected {one.dtype}.")
    if sum(array.size for array in left) == 0:
        return _failed(tolerance, "empty", "Nothing to compare: that proves nothing, so it fails.")
    return _compare_values(left, right, tolerance)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Two flat float64 arrays of equal length; only pairs of finite values have a distance."""

    expected: np.ndarray
    actual: np.ndarray
    finite: np.ndarray  # which pairs are
    alike: np.ndarray  # which are finite, both NaN, or both the same infinity
    reference: np.ndarray  # the expected values of finite pairs
    distance: np.ndarray  # of finite pairs


def _pair(left: list[np.ndarray], right: list[np.ndarray]) -> _Pairs:
    one = np.concatenate([array.astype(np.float64).ravel() for array in left])
    other = np.concatenate([array.astype(np.float64).ravel() for array in right])
    finite = np.isfinite(one) & np.isfinite(other)
    with np.errstate(invalid="ignore"):
        alike = finite | (one == other) | (np.isnan(one) & np.isnan(other))
    reference = one[finite]
    return _Pairs(one, other, finite, alike, reference, np.abs(reference - other[finite]))


def _measure(pairs: _Pairs, left: list[np.ndarray], right: list[np.ndarray]) -> Figures:
    """Compute the figures of outputs of equal shapes."""
    distance, all_alike = pairs.distance, bool(pairs.alike.all())
    ranks = [topk_agreement(left[0], right[0], k) if all_alike else None for k in (1, 5)]
    if not distance.size:
        worst = 0
        figures = Figures()
    else:
        worst = int(np.flatnonzero(pairs.finite)[int(np.argmax(distance))])
        relative = distance / np.maximum(np.abs(pairs.reference), np.finfo(np.float32).tiny)
        figures = Figures(
            max_abs=float(distance.max()),
            mean_abs=float(distance.mean()),
            p99_abs=float(np.quantile(distance, 0.99)),
            max_rel=float(relative.max()),
            sqnr_db=sqnr_db(pairs.reference, pairs.actual[pairs.finite]),
        )
    shape = left[0].shape if len(left) == 1 else pairs.expected.shape
    return replace(
        figures,
        elements=pairs.expected.size,
        top1=ranks[0],
        top5=ranks[1],
        worst=tuple(int(i) for i in np.unravel_index(worst, shape)),
        worst_expected=float(pairs.expected[worst]),
        worst_actual=float(pairs.actual[worst]),
    )


def _judge_values(pairs: _Pairs, tolerance: Tolerance) -> tuple[str, list[str]]:
    """Judge value by value: the problem, and the reasons in words."""
    if not pairs.alike.all():
        apart = np.flatnonzero(~pairs.alike)
        one, other = pairs.expected[apart[0]], pairs.actual[apart[0]]
        return "nonfinite", [
            f"{apart.size} values are NaN or infinite on one side only "
            f"(first: expected {one:g}, got {other:g})"
        ]
    # Never above float64's own noise: the bound is on float32 data.
    over = pairs.distance - (tolerance.atol + tolerance.rtol * np.abs(pairs.reference))
    outside = int((over > 0).sum())
    return ("values", [f"{outside} values are outside {tolerance}"]) if outside else ("", [])


def _judge_figures(figures: Figures, steps: float | None, tolerance: Tolerance) -> list[str]:
    """Judge the figures of all values together: the demands that are not met, in words."""
    reasons = []
    if tolerance.max_steps is not None and (steps is None or steps > tolerance.max_steps):
        got = "steps of unknown size" if steps is None else f"{steps:.2f} quantization steps"
        reasons.append(f"{got}, at most {tolerance.max_steps:g} allowed")
    quality, rank = figures.sqnr_db, figures.top1
    if tolerance.min_sqnr_db is not None and (quality is None or quality < tolerance.min_sqnr_db):
        got = "no SQNR" if quality is None else f"SQNR {quality:.1f} dB"
        reasons.append(f"{got}, at least {tolerance.min_sqnr_db:.1f} dB demanded")
    if tolerance.min_top1 is not None and (rank is None or rank < tolerance.min_top1):
        got = "no classes to rank" if rank is None else f"top-1 agreement {rank:.1%}"
        reasons.append(f"{got}, at least {tolerance.min_top1:.1%} demanded")
    return reasons


def _compare_values(
    left: list[np.ndarray], right: list[np.ndarray], tolerance: Tolerance
) -> Comparison:
    pairs = _pair(left, right)
    figures = _measure(pairs, left, right)
    steps = None
    if figures.max_abs is not None and tolerance.step:
        steps = figures.max_abs / tolerance.step
    problem, reasons = _judge_values(pairs, tolerance)
    unmet = _judge_figures(figures, steps, tolerance)
    reasons += unmet
    problem = problem or ("values" if unmet else "")
    passing = None
    if problem == "values":
        needed = pairs.distance - tolerance.rtol * np.abs(pairs.reference)
        passing = Tolerance(
            atol=max(tolerance.atol, float(np.max(needed, initial=0.0)) * (1 + 1e-6)),
            rtol=tolerance.rtol,
            min_sqnr_db=None if tolerance.min_sqnr_db is None else figures.sqnr_db,
            min_top1=None if tolerance.min_top1 is None else figures.top1,
            max_steps=None if tolerance.max_steps is None else steps,
            step=tolerance.step,
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


def assert_parity(
    expected: Arrays, actual: Arrays, tolerance: Tolerance, *, what: str = ""
) -> Comparison:
    """Return the comparison, or raise `ParityError` with its figures: for users' own pytest."""
    comparison = compare(expected, actual, tolerance)
    if not comparison:
        raise ParityError(f"{what + ': ' if what else ''}{comparison}")
    return comparison
