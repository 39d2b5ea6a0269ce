"""How far apart two arrays are, in one pass of small blocks.

Whole-array arithmetic on outputs of millions of values takes new memory for every step, and most
of its time goes there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

# Values a block holds: four of them in float64 fit into a core's own cache.
_BLOCK = 2**15
_TINY = float(np.finfo(np.float32).tiny)
# What a tolerance that passes has beyond the difference it was derived from.
_ABOVE = 1 + 1e-6


@dataclass(frozen=True)
class Bound:
    """What may differ: `atol + rtol * |expected|`."""

    atol: float
    rtol: float


class Top:
    """The largest distances of all arrays of a comparison, for a quantile of them."""

    def __init__(self, values: int, share: float) -> None:
        """Keep as many as the quantile at `share` of `values` distances takes, or of fewer."""
        self._share = share
        self._most = values - math.floor(share * max(0, values - 1))
        self._kept: list[np.ndarray] = []
        self._held = 0
        self._least = 0.0  # what is not above it is not among them; zeros are added at the end

    def add(self, distances: np.ndarray, largest: float) -> None:
        """Take in a block, which may be used again afterwards."""
        if largest <= self._least:
            return
        chosen = distances[distances > self._least]
        self._kept.append(chosen)
        self._held += chosen.size
        if self._held > 2 * self._most:
            self._drop()

    def _drop(self) -> None:
        kept = np.concatenate(self._kept)
        kept.partition(kept.size - self._most)
        kept = kept[kept.size - self._most :]
        self._kept, self._held, self._least = [kept], kept.size, float(kept[0])

    def quantile(self, values: int) -> float:
        """Return the quantile of `values` distances, as NumPy interpolates; others count as 0."""
        place = self._share * (values - 1)
        below = math.floor(place)
        kept = np.sort(np.concatenate(self._kept)) if self._kept else np.zeros(0)

        def at(rank: int) -> float:  # from the top
            return float(kept[kept.size - 1 - rank]) if rank < kept.size else 0.0

        low, high = at(values - 1 - below), at(values - 1 - min(below + 1, values - 1))
        share = place - below
        return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)


@dataclass
class Differences:
    """What one pass over two arrays of equal shape found; distances are of finite pairs."""

    size: int
    finite: int = 0
    unlike: int = 0  # pairs with NaN or an infinity that are not the same
    first_unlike: tuple[float, float] | None = None
    largest: float = -1.0
    worst: int = 0  # index of the largest distance
    total: float = 0.0
    relative: float = 0.0
    noise: float = 0.0  # sum of squared distances
    signal: float = 0.0  # sum of squares of what is expected
    over: int = 0  # pairs farther apart than the bound
    needed: float = -math.inf  # the smallest atol that would have passed
    needing: int = 0  # pairs that need more than the bound's
    _work: np.ndarray = field(default_factory=lambda: np.empty((4, _BLOCK)), repr=False)


def differences(expected: np.ndarray, actual: np.ndarray, bound: Bound, top: Top) -> Differences:
    """Compare two arrays of equal shape in float64; `top` takes in the distances.

    Only pairs of finite values have a distance. The same infinity, or NaN on both sides, is alike.
    """
    found = Differences(expected.size)
    for start, one, other in blocks(expected, actual):
        left, right, apart, room = (row[: one.size] for row in found._work)
        left[:], right[:] = one, other
        with np.errstate(invalid="ignore", over="ignore"):
            np.subtract(left, right, out=apart)
            signal, noise = float(np.dot(left, left)), float(np.dot(apart, apart))
        if not (math.isfinite(signal) and math.isfinite(noise)):
            keep = _finite(found, left, right)
            left, right = left[keep], right[keep]
            apart, room = left - right, np.empty(left.size)
            at = start + np.flatnonzero(keep)
            with np.errstate(over="ignore"):
                signal, noise = float(np.dot(left, left)), float(np.dot(apart, apart))
        else:
            at = None
        found.finite += left.size
        found.signal += signal
        found.noise += noise
        if not left.size:
            continue
        np.abs(apart, out=apart)
        worst = int(np.argmax(apart))
        if apart[worst] > found.largest:
            found.largest = float(apart[worst])
            found.worst = int(at[worst]) if at is not None else start + worst
        _add(found, left, apart, room, float(apart[worst]), bound)
        top.add(apart, float(apart[worst]))
    return found


def largest_distance(expected: np.ndarray, actual: np.ndarray) -> float:
    """Return max|expected - actual| of two arrays of equal shape, in float64.

    NaN where one of them holds a NaN, or both the same infinity; 0 of nothing.
    """
    work, largest = np.empty((2, _BLOCK)), [0.0]
    for _, one, other in blocks(expected, actual):
        left, right = (row[: one.size] for row in work)
        left[:], right[:] = one, other
        with np.errstate(invalid="ignore", over="ignore"):
            np.subtract(left, right, out=left)
        largest.append(float(np.abs(left, out=left).max()))
    return float(np.max(largest))


def blocks(
    expected: np.ndarray, actual: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield flat blocks of two arrays of equal shape in C order, and where each starts."""
    one, other = expected.reshape(-1), actual.reshape(-1)
    for start in range(0, one.size, _BLOCK):
        yield start, one[start : start + _BLOCK], other[start : start + _BLOCK]


def _finite(found: Differences, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Count what is unlike in a block, and return which pairs are finite."""
    finite: np.ndarray = np.isfinite(left) & np.isfinite(right)
    unlike = np.flatnonzero(~(finite | (left == right) | (np.isnan(left) & np.isnan(right))))
    if unlike.size and found.first_unlike is None:
        found.first_unlike = float(left[unlike[0]]), float(right[unlike[0]])
    found.unlike += unlike.size
    return finite


def _add(
    found: Differences,
    left: np.ndarray,
    apart: np.ndarray,
    room: np.ndarray,
    largest: float,
    bound: Bound,
) -> None:
    """Take in a block of distances; `left` and `room` are overwritten."""
    if largest == 0.0 and bound.atol >= 0 and bound.rtol >= 0:
        # As every pair of a block of an unchanged network.
        np.abs(left, out=left)
        found.needed = max(found.needed, -bound.rtol * float(left.min()) * _ABOVE)
        return
    found.total += float(apart.sum())
    np.abs(left, out=left)
    np.divide(apart, np.maximum(left, _TINY, out=room), out=room)
    found.relative = max(found.relative, float(room.max()))
    if not bound.rtol:
        found.needed = max(found.needed, largest * _ABOVE)
        if largest * _ABOVE > bound.atol:
            found.over += int(np.count_nonzero(apart > bound.atol))
            found.needing += int(np.count_nonzero(apart * _ABOVE > bound.atol))
        return
    np.multiply(left, bound.rtol, out=room)
    found.over += int(np.count_nonzero(apart - (bound.atol + room) > 0))
    np.multiply(np.subtract(apart, room, out=room), _ABOVE, out=room)
    found.needed = max(found.needed, float(room.max()))
    found.needing += int(np.count_nonzero(room > bound.atol))


def sqnr_db(expected: np.ndarray, actual: np.ndarray) -> float | None:
    """Signal to quantization noise in dB: 10 log10(sum e^2 / sum (e - a)^2).

    Infinite for identical arrays; None where the reference is all zero.
    """
    reference = expected.astype(np.float64, copy=False).ravel()
    apart = reference - actual.astype(np.float64, copy=False).ravel()
    return decibels(float(np.dot(reference, reference)), float(np.dot(apart, apart)))


def decibels(signal: float, noise: float) -> float | None:
    """Return the ratio of two sums of squares in dB; None where there is no signal."""
    if noise == 0.0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0.0 else None
