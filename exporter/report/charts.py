"""Charts laid out in numbers, so that the template only places them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .numbers import power_of_ten
from .report import Histogram


@dataclass(frozen=True)
class HistogramBar:
    """One power of ten, or the exact zeros: where it stands in per cent, how high in pixels."""

    label: str
    count: int
    x: float
    width: float
    height: float
    beyond: bool  # wholly above the tolerance


@dataclass(frozen=True)
class HistogramChart:
    """A histogram laid out: bars, tick labels below the edges, and where the tolerance stands."""

    bars: tuple[HistogramBar, ...]
    ticks: tuple[tuple[float, str], ...]
    tolerance_x: float | None
    total: int


_HISTOGRAM_PIXELS = 140.0
_HISTOGRAM_DECADES = 13  # more do not fit a phone; what is smaller goes into the first


def histogram_chart(histogram: Histogram, tolerance: float) -> HistogramChart:
    """Lay out a histogram; x in per cent of the width, so that text keeps its size on a phone.

    A `tolerance` of 0 or infinity is not marked.
    """
    lows = histogram.edges[:-1]
    found = {round(math.log10(e)): n for e, n in zip(lows, histogram.counts, strict=True)}
    total = histogram.zeros + sum(histogram.counts)
    marked = tolerance > 0 and math.isfinite(tolerance)
    exponents = [k for k, n in found.items() if n]
    if marked:
        exponents.append(math.floor(math.log10(tolerance)))
    if not exponents:
        return HistogramChart(bars=(), ticks=(), tolerance_x=None, total=total)
    last = max(exponents)
    first = max(min(exponents), last - _HISTOGRAM_DECADES + 1)
    below = sum(n for k, n in found.items() if k < first)
    gap = 0.5
    slot = 100 / (last - first + 2 + gap + 0.4)  # 0.4: half of the last tick label
    start = slot * (1 + gap)
    tallest = max([histogram.zeros, *found.values(), below, 1])

    def bar(label: str, count: int, x: float, beyond: bool) -> HistogramBar:
        height = max(2.0, _HISTOGRAM_PIXELS * count / tallest) if count else 0.0
        return HistogramBar(
            label=label,
            count=count,
            x=round(x + 0.06 * slot, 3),
            width=round(0.88 * slot, 3),
            height=round(height, 1),
            beyond=beyond,
        )

    bars = [bar("exactly 0", histogram.zeros, 0.0, False)]
    for k in range(first, last + 1):
        count = found.get(k, 0) + (below if k == first else 0)
        low = f"{power_of_ten(k)} to " if not (below and k == first) else "up to "
        beyond = marked and 10.0**k >= tolerance
        bars.append(bar(low + power_of_ten(k + 1), count, start + (k - first) * slot, beyond))
    ticks = [
        (round(start + (k - first) * slot, 3), power_of_ten(k))
        for k in range(first, last + 2)
        if not (below and k == first)
    ]
    place = start + (math.log10(tolerance) - first) * slot if marked else None
    return HistogramChart(
        bars=tuple(bars),
        ticks=tuple(ticks),
        tolerance_x=round(max(start, place), 3) if place is not None else None,
        total=total,
    )
