"""Which rows are worth a look: Pareto fronts, a budget, and the one to pick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from .plan import Limits
from .result import Cost, Row, Worth

COSTS: tuple[Cost, ...] = get_args(Cost)
# A limit's name, the figure it bounds, and that figure's unit in the limit's numbers.
LIMITED: dict[str, tuple[Cost, float, str]] = {
    "mb": ("mb", 1.0, "MB"),
    "ms": ("ms", 1.0, "ms"),
    "minstr": ("instructions", 1e6, "million instructions"),
}
_BY_WORTH: dict[Worth, str] = {
    "accuracy": "accuracy",
    "agreement": "agreement with float32",
    "sqnr_db": "SQNR against float32",
}


def worth_of(rows: Sequence[Row]) -> Worth:
    """Return the figure that ranks rows: accuracy or agreement, where every file has it."""
    made = [row for row in rows if not row.failed]
    shares: tuple[Worth, ...] = ("accuracy", "agreement")
    for name in shares:
        if made and all(getattr(row, name) is not None for row in made):
            return name
    return "sqnr_db" if any(row.sqnr_db is not None for row in made) else "agreement"


def worth(row: Row, by: Worth) -> float | None:
    """Return what a row is worth; of a file that is the same as float32, infinity dB."""
    value: float | None = getattr(row, by)
    if value is None and by == "sqnr_db" and row.max_abs == 0:
        return float("inf")
    return value


def front(points: Sequence[tuple[float, float]]) -> set[int]:
    """Return the indices of `(cost, worth)` that no other point beats: less cost, more worth.

    Of equal points all are on the front.
    """
    return {
        i
        for i, (cost, value) in enumerate(points)
        if not any(
            (other <= cost and better >= value) and (other < cost or better > value)
            for other, better in points
        )
    }


def with_fronts(rows: Sequence[Row], by: Worth) -> list[Row]:
    """Return the rows with the fronts that each is on."""
    on: dict[int, list[Cost]] = {}
    for cost in COSTS:
        measured = [
            (index, getattr(row, cost), value)
            for index, row in enumerate(rows)
            if getattr(row, cost) is not None and (value := worth(row, by)) is not None
        ]
        for place in front([(cost_, value) for _, cost_, value in measured]):
            on.setdefault(measured[place][0], []).append(cost)
    return [row.model_copy(update={"fronts": on.get(i, [])}) for i, row in enumerate(rows)]


def excess(row: Row, limits: Limits) -> float | None:
    """Return the largest ratio of a figure to its limit; None where a figure was not measured."""
    ratios = []
    for name, limit in limits.items():
        field, unit, _ = LIMITED[name]
        value = getattr(row, field)
        if value is None:
            return None
        ratios.append(value / unit / limit)
    return max(ratios, default=0.0)


def with_budget(rows: Sequence[Row], limits: Limits) -> list[Row]:
    """Return the rows with whether each is within the budget; all null without one."""
    if not limits:
        return list(rows)

    def within(row: Row) -> bool:
        ratio = None if row.failed else excess(row, limits)
        return ratio is not None and ratio <= 1

    return [row.model_copy(update={"within": within(row)}) for row in rows]


def pick(rows: Sequence[Row], limits: Limits, by: Worth) -> tuple[Row | None, str]:
    """Return the best row within the budget and a sentence; None where none fits.

    The best has the most worth, and of equals the fewest milliseconds, then the fewest bytes. Where
    none fits, the sentence says what comes closest.
    """
    made = [row for row in rows if not row.failed]
    if not made:
        return None, "Nothing was exported, so there is nothing to pick."
    ratios = [(row, excess(row, limits)) for row in made]
    fitting = [row for row, ratio in ratios if ratio is not None and ratio <= 1]
    if not fitting:
        return None, _closest([(row, ratio) for row, ratio in ratios if ratio is not None], limits)

    def order(row: Row) -> tuple[float, float, float]:
        value = worth(row, by)
        ms = float("inf") if row.ms is None else row.ms
        return -float("inf") if value is None else -value, ms, row.mb or 0.0

    best = min(fitting, key=order)
    of = (
        f"{len(fitting)} of {len(made)} files are within {limits}"
        if limits
        else (f"there are {len(made)} files and no budget")
    )
    return best, f"{best.file} has the highest {_BY_WORTH[by]}: {of}."


def _closest(ratios: Sequence[tuple[Row, float]], limits: Limits) -> str:
    if not ratios:
        unmeasured = " or ".join(LIMITED[name][2] for name, _ in limits.items())
        return (
            f"Nothing can be picked under {limits}: {unmeasured} was not measured of any file. "
            "Counting needs the device runtime (`python -m runtime_check device install "
            "arm64-2.1.0`)."
        )
    row, ratio = min(ratios, key=lambda pair: pair[1])
    figures = []
    for name, limit in limits.items():
        field, unit, said = LIMITED[name]
        value = getattr(row, field) / unit
        figures.append(f"{value:.4g} {said}" + (f" (limit {limit:g})" if value > limit else ""))
    return (
        f"No file is within {limits}. {row.file} comes closest, at {ratio:.2f} times its tightest "
        f"limit: {', '.join(figures)}."
    )
