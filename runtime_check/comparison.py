"""Compare two sets of outputs and say by how much they differ, in the field's figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .artifact.metadata import Golden, Metadata, ToleranceSpec
from .errors import ParityError
from .found import in_order_of
from .metrics import CLASSES, Agreement, Metric, agreement_of, measure

Arrays = np.ndarray | Sequence[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What counts as equal: `|actual - expected| <= atol + rtol * |expected|` everywhere.

    `outputs` has an `atol` of its own for each of a sample's outputs, where their scales differ.
    Of whole numbers a share of `flips` may differ, by whatever they do: classes have no distance.
    `min_sqnr_db`, `min_agreement` (0 to 1, by the task's metric) and `max_steps` (with `step`, one
    quantization step of the output) are further demands, used for int8 against fp32; unset ones
    demand nothing. With `atol=inf` only those further demands hold.
    """

    atol: float = 0.0
    rtol: float = 0.0
    outputs: tuple[float, ...] = ()
    flips: float = 0.0
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


def sqnr_db(expected: np.ndarray, actual: np.ndarray) -> float | None:
    """Signal to quantization noise in dB: 10 log10(sum e^2 / sum (e - a)^2).

    Infinite for identical arrays; None where the reference is all zero.
    """
    reference = expected.astype(np.float64, copy=False).ravel()
    apart = reference - actual.astype(np.float64, copy=False).ravel()
    noise, signal = float(np.dot(apart, apart)), float(np.dot(reference, reference))
    if noise == 0.0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0.0 else None


def agreement_words(figures: Agreement) -> list[str]:
    """Say the figures of the task's metric."""
    shares = {
        "top-1": figures.top1, "pixels": figures.pixels, "mIoU": figures.miou,
        "boxes": figures.boxes,
    }  # fmt: skip
    words = [f"{name} {share:.1%}" for name, share in shares.items() if share is not None]
    return words if figures.cosine is None else [*words, f"cosine {figures.cosine:.6f}"]


def _failed(tolerance: Tolerance, problem: str, detail: str) -> Comparison:
    return Comparison(tolerance=tolerance, problem=problem, detail=detail)


def compare(
    expected: Arrays, actual: Arrays, tolerance: Tolerance, metric: Metric = CLASSES
) -> Comparison:
    """Compare arrays (or sequences of arrays, output by output) and judge by `tolerance`.

    `metric` is the task's: by default the last axis of the first output ranks classes.
    Shape and dtype differences are reported apart from value differences. NaN must meet NaN and
    an infinity the same infinity. Comparing nothing is a failure, unless it is that both found no
    boxes; boxes with nearly equal scores may come in either order (see `found`).
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
    right = in_order_of(metric, left, right)
    if sum(array.size for array in left) == 0:
        if left and metric.kind == "boxes":
            return Comparison(tolerance=tolerance, problem="", detail="no boxes on both sides")
        return _failed(tolerance, "empty", "Nothing to compare: that proves nothing, so it fails.")
    return _compare_values(left, right, tolerance, metric)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Two flat float64 arrays of equal length; only pairs of finite values have a distance."""

    expected: np.ndarray
    actual: np.ndarray
    finite: np.ndarray  # which pairs are
    alike: np.ndarray  # which are finite, both NaN, or both the same infinity
    reference: np.ndarray  # the expected values of finite pairs
    distance: np.ndarray  # of finite pairs
    atol: np.ndarray  # of finite pairs, or the one of all
    output: np.ndarray  # which array each finite pair is of
    whole: tuple[bool, ...]  # which arrays hold whole numbers


def _pair(left: list[np.ndarray], right: list[np.ndarray], tolerance: Tolerance) -> _Pairs:
    one = np.concatenate([array.ravel() for array in left], dtype=np.float64)
    other = np.concatenate([array.ravel() for array in right], dtype=np.float64)
    finite = np.isfinite(one) & np.isfinite(other)
    output = np.repeat(np.arange(len(left), dtype=np.int32), [array.size for array in left])
    if finite.all():  # as nearly always: nothing is picked out, which copies
        alike, reference, distance = finite, one, np.abs(one - other)
    else:
        with np.errstate(invalid="ignore"):
            alike = finite | (one == other) | (np.isnan(one) & np.isnan(other))
        reference, output = one[finite], output[finite]
        distance = np.abs(reference - other[finite])
    atols = np.array([tolerance.atol_of(index) for index in range(len(left))])
    atol = atols[output] if tolerance.outputs else np.array(tolerance.atol)
    whole = tuple(not np.issubdtype(array.dtype, np.inexact) for array in left)
    return _Pairs(one, other, finite, alike, reference, distance, atol, output, whole)


def _measure(
    pairs: _Pairs, left: list[np.ndarray], right: list[np.ndarray], metric: Metric
) -> Figures:
    """Compute the figures of outputs of equal shapes."""
    distance, all_alike = pairs.distance, bool(pairs.alike.all())
    agreement = measure(metric, left, right) if all_alike else Agreement()
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
            sqnr_db=_worst_sqnr(pairs, metric.outputs),
        )
    shape = left[0].shape if len(left) == 1 else pairs.expected.shape
    return replace(
        figures,
        elements=pairs.expected.size,
        **vars(agreement),
        worst=tuple(int(i) for i in np.unravel_index(worst, shape)),
        worst_expected=float(pairs.expected[worst]),
        worst_actual=float(pairs.actual[worst]),
    )


def _worst_sqnr(pairs: _Pairs, outputs: int) -> float | None:
    """Return the SQNR of the worst of `outputs` outputs; None where all of them are silent."""
    actual = pairs.actual if pairs.reference is pairs.expected else pairs.actual[pairs.finite]
    if outputs == 1:
        return sqnr_db(pairs.reference, actual)
    found = []
    for index in range(outputs):
        mine = pairs.output % outputs == index
        if mine.any():
            found.append(sqnr_db(pairs.reference[mine], actual[mine]))
    return min((value for value in found if value is not None), default=None)


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
    over = pairs.distance - (pairs.atol + tolerance.rtol * np.abs(pairs.reference)) > 0
    if tolerance.flips:
        for index, share in enumerate(_flipped(pairs, over)):
            if share <= tolerance.flips:
                over &= pairs.output != index
    outside = int(over.sum())
    return ("values", [f"{outside} values are outside {tolerance}"]) if outside else ("", [])


def _flipped(pairs: _Pairs, over: np.ndarray) -> list[float]:
    """Return the share of each array's values that differ; above 1 where values are floats."""
    shares = []
    for index, whole in enumerate(pairs.whole):
        mine = pairs.output == index
        shares.append(float(over[mine].mean()) if whole and mine.any() else 2.0)
    return shares


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


def _within(pairs: _Pairs, tolerance: Tolerance) -> Tolerance:
    """Widen a tolerance until all values are within it."""
    needed = (pairs.distance - tolerance.rtol * np.abs(pairs.reference)) * (1 + 1e-6)
    if tolerance.flips:
        shares = [share for share in _flipped(pairs, needed > pairs.atol) if share <= 1]
        tolerance = replace(tolerance, flips=max([tolerance.flips, *shares]))
        needed = np.where(np.array(pairs.whole)[pairs.output], 0.0, needed)
    if not tolerance.outputs:
        return replace(tolerance, atol=max(tolerance.atol, float(np.max(needed, initial=0.0))))
    place = pairs.output % len(tolerance.outputs)
    outputs = tuple(
        max(atol, float(np.max(needed[place == index], initial=0.0)))
        for index, atol in enumerate(tolerance.outputs)
    )
    return replace(tolerance, atol=max(outputs), outputs=outputs)


def assert_parity(
    expected: Arrays, actual: Arrays, tolerance: Tolerance, *, what: str = ""
) -> Comparison:
    """Return the comparison, or raise `ParityError` with its figures: for users' own pytest."""
    comparison = compare(expected, actual, tolerance)
    if not comparison:
        raise ParityError(f"{what + ': ' if what else ''}{comparison}")
    return comparison
