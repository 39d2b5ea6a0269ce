"""Charts laid out in numbers, so that the template only places them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .numbers import percent, power_of_ten, scientific
from .report import Histogram, TrainingView


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
    by_power = {round(math.log10(e)): n for e, n in zip(lows, histogram.counts, strict=True)}
    total = histogram.zeros + sum(histogram.counts)
    marked = tolerance > 0 and math.isfinite(tolerance)
    exponents = [k for k, n in by_power.items() if n]
    if marked:
        exponents.append(math.floor(math.log10(tolerance)))
    if not exponents:
        return HistogramChart(bars=(), ticks=(), tolerance_x=None, total=total)
    last = max(exponents)
    first = max(min(exponents), last - _HISTOGRAM_DECADES + 1)
    below = sum(n for k, n in by_power.items() if k < first)
    gap = 0.5
    slot = 100 / (last - first + 2 + gap + 0.4)  # 0.4: half of the last tick label
    start = slot * (1 + gap)
    tallest = max([histogram.zeros, *by_power.values(), below, 1])

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
        count = by_power.get(k, 0) + (below if k == first else 0)
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


@dataclass(frozen=True)
class Dot:
    """One epoch's value: where it stands in per cent and pixels, and its label, if it has room."""

    x: float
    y: float
    label: str
    label_y: float
    best: bool


@dataclass(frozen=True)
class LineChart:
    """Values by epoch laid out: dots to be joined in order, ticks, and a line to compare with."""

    title: str
    dots: tuple[Dot, ...]
    ticks: tuple[tuple[float, str], ...]
    reference: tuple[float, str] | None


LINE_PIXELS = 120.0
_MANY_DOTS = 8  # more labels than this would touch


def line_chart(
    title: str,
    values: Sequence[tuple[int, float]],
    write: Callable[[float], str],
    *,
    best: int,
    reference: tuple[float, str] | None = None,
) -> LineChart:
    """Lay out `(epoch, value)` pairs; x in per cent of the width, y in pixels from the top.

    `write` makes a value's label. `reference` is a value to mark across, and its name.
    """
    if not values:
        return LineChart(title=title, dots=(), ticks=(), reference=None)
    heights = [value for _, value in values] + ([reference[0]] if reference else [])
    low, high = min(heights), max(heights)
    room = (high - low) or abs(high) or 1.0
    epochs = [epoch for epoch, _ in values]
    first, span = epochs[0], max(1, epochs[-1] - epochs[0])

    def x(epoch: int) -> float:
        return round(8 + 84 * (epoch - first) / span, 3)

    def y(value: float) -> float:
        return round(LINE_PIXELS * (high - value) / room, 1)

    across = y(reference[0]) if reference else None

    def dot(epoch: int, value: float) -> Dot:
        # Above the dot, but not on the line across.
        under = across is not None and 0 <= y(value) - across < 28
        return Dot(
            x=x(epoch),
            y=y(value),
            label=write(value) if epoch in labeled else "",
            label_y=y(value) + (19 if under else -9),
            best=epoch == best,
        )

    labeled = {epochs[0], epochs[-1], best} if len(values) > _MANY_DOTS else set(epochs)
    every = max(1, -(-len(epochs) // _MANY_DOTS))
    return LineChart(
        title=title,
        dots=tuple(dot(epoch, value) for epoch, value in values),
        ticks=tuple((x(e), str(e)) for e in epochs if (e - first) % every == 0 or e == epochs[-1]),
        reference=(across, f"{reference[1]} {write(reference[0])}")
        if reference and across is not None
        else None,
    )


def _decibels(value: float) -> str:
    return f"{value:.1f} dB"


def training_charts(training: TrainingView, agreement: str) -> list[LineChart]:
    """Lay out what each epoch gave: the score, from before training on, and the loss.

    `agreement` is what the task's metric is called, which scores are where no image has a label.
    """
    scores = [(0, training.before), *((e.epoch, e.score) for e in training.epochs)]
    measured = [(epoch, score) for epoch, score in scores if score is not None]
    names = {
        "accuracy": "Accuracy",
        "agreement": f"{agreement} with float32",
        "sqnr_db": "SQNR against float32",
    }
    charts = [
        line_chart(
            names[training.metric],
            measured,
            _decibels if training.metric == "sqnr_db" else percent,
            best=training.best_epoch,
            reference=None if training.float32 is None else (training.float32, "float32"),
        ),
        line_chart(
            "Mean loss",
            [(e.epoch, e.loss) for e in training.epochs],
            scientific,
            best=training.best_epoch,
        ),
    ]
    return [chart for chart in charts if chart.dots]
