"""Scatter plots laid out in numbers, so that the template only places them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..report.numbers import percent, significant
from .front import LIMITED, worth
from .plan import Limits
from .result import Cost, Row, Worth

PIXELS = 260.0  # height of the plot's area
_LEFT, _RIGHT = 3.0, 97.0  # per cent of the width that dots take
_TOP, _BOTTOM = 16.0, PIXELS - 12.0
# From which ratio of largest to smallest cost the axis is logarithmic.
_LOG_FROM = 8.0
_SHAPES = 6
# What the plot and its axis are called, and what a value is divided by.
_AXES: dict[Cost, tuple[str, str, float]] = {
    "mb": ("File size", "MB", 1.0),
    "ms": ("Time on this computer", "ms, one thread", 1.0),
    "instructions": ("Work on a phone's processor", "million ARM64 instructions", 1e6),
}
WORTHS: dict[Worth, str] = {
    "accuracy": "Accuracy",
    "agreement": "Agreement with float32",
    "sqnr_db": "SQNR against float32, dB",
}


@dataclass(frozen=True)
class Dot:
    """One file: where it stands in per cent and pixels, and what is said of it."""

    x: float
    y: float
    series: int  # which recipe: its color and shape
    title: str
    on_front: bool
    label: str = ""
    anchor: str = "start"


@dataclass(frozen=True)
class Scatter:
    """Worth against one cost. `steps` is the front's line, from corner to corner."""

    cost: Cost
    title: str
    axis: str
    dots: tuple[Dot, ...]
    steps: tuple[tuple[float, float], ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    limit: tuple[float, str] | None
    described: str


def series_of(rows: Sequence[Row]) -> dict[str, int]:
    """Number the recipes in order; there are so many colors and shapes, then they repeat."""
    recipes = dict.fromkeys(row.recipe for row in rows if not row.failed)
    return {recipe: index % _SHAPES for index, recipe in enumerate(recipes)}


def scatter(rows: Sequence[Row], cost: Cost, by: Worth, limits: Limits) -> Scatter | None:
    """Lay out the rows that have both figures; None where these are fewer than two."""
    title, axis, unit = _AXES[cost]
    points = [
        (getattr(row, cost) / unit, value, row)
        for row in rows
        if getattr(row, cost) is not None and (value := _finite(row, by)) is not None
    ]
    if len(points) < 2:
        return None
    series = series_of(rows)
    across = _Axis.over([x for x, _, _ in points], _LEFT, _RIGHT, log=True)
    up = _Axis.over([y for _, y, _ in points], _BOTTOM, _TOP, most=None if by == "sqnr_db" else 1.0)
    dots = [
        Dot(
            x=across.place(x),
            y=up.place(y),
            series=series[row.recipe],
            title=f"{row.file}: {significant(x)} {axis}, {writer(by)(y)}",
            on_front=cost in row.fronts,
        )
        for x, y, row in points
    ]
    front = sorted((dot.x, dot.y) for dot in dots if dot.on_front)
    return Scatter(
        cost=cost,
        title=title,
        axis=axis,
        dots=tuple(_labeled(dots, [row for _, _, row in points])),
        steps=tuple(_steps(front)),
        x_ticks=across.ticks(significant_tick),
        y_ticks=up.ticks(writer(by, tick=True)),
        limit=_limit(cost, limits, across),
        described="; ".join(dot.title for dot in dots if dot.on_front),
    )


def writer(by: Worth, *, tick: bool = False) -> Callable[[float], str]:
    """Return what writes a worth for people; at a `tick` of an axis without zeros behind it."""
    if by == "sqnr_db":
        return "{:.6g}".format if tick else "{:.1f} dB".format
    return (lambda value: f"{100 * value:.6g}%") if tick else percent


def significant_tick(value: float) -> str:
    """Write a tick of an axis of costs without zeros that say nothing: `0.5`, `10`, `2,000`."""
    return f"{value:,.10g}"


def _finite(row: Row, by: Worth) -> float | None:
    value = worth(row, by)
    return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class _Axis:
    """Values from `low` to `high` at places from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(
        cls,
        values: Sequence[float],
        start: float,
        end: float,
        *,
        log: bool = False,
        most: float | None = None,
    ) -> _Axis:
        """Span the values with a margin of 6 per cent; no further than `most`."""
        low, high = min(values), max(values)
        if log and low > 0 and high / low >= _LOG_FROM:
            margin = (high / low) ** 0.06
            return cls(low / margin, high * margin, start, end, log=True)
        margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
        low, high = low - margin, high + margin
        return cls(low, high if most is None else min(high, most), start, end)

    def place(self, value: float) -> float:
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 2)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self, write: Callable[[float], str]) -> tuple[tuple[float, str], ...]:
        """Return places and labels of round values, about five of them, each label once."""
        values = _powers(self.low, self.high) if self.log else _round_values(self.low, self.high)
        found = {write(v): self.place(v) for v in values if self.holds(v)}
        return tuple((place, label) for label, place in found.items())


def _round_values(low: float, high: float) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten, three to seven of them."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    first = math.ceil(low / step)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten; of many powers, the powers alone."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 2, 5) if high / low < 300 else (1,)
    return [m * 10.0**n for n in range(first, last + 1) for m in factors]


def _steps(front: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of the stairs through the front: right at a worth, then up to the next.

    Places are in per cent and in pixels from the top.
    """
    corners: list[tuple[float, float]] = []
    for x, y in front:
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return corners


# Per cent and pixels that a label takes, one of them beside another.
_WIDE, _HIGH = 24.0, 15.0


def _labeled(dots: Sequence[Dot], rows: Sequence[Row]) -> list[Dot]:
    """Give names to the dots of the front, as far as names have room, the most worth first."""
    taken: list[tuple[float, float]] = []
    labeled = list(dots)
    for index in sorted(range(len(dots)), key=lambda i: (dots[i].y, dots[i].x)):
        dot = dots[index]
        free = all(abs(dot.x - x) > _WIDE or abs(dot.y - y) > _HIGH for x, y in taken)
        if not dot.on_front or not free:
            continue
        taken.append((dot.x, dot.y))
        anchor = "end" if dot.x > 55 else "start"
        labeled[index] = Dot(
            x=dot.x,
            y=dot.y,
            series=dot.series,
            title=dot.title,
            on_front=True,
            label=rows[index].name,
            anchor=anchor,
        )
    return labeled


def _limit(cost: Cost, limits: Limits, axis: _Axis) -> tuple[float, str] | None:
    """Return where the budget's line stands, where it is on the plot."""
    for name, value in limits.items():
        field, _, said = LIMITED[name]
        if field == cost and axis.holds(value):
            return axis.place(value), f"budget {value:g} {said}"
    return None
