"""Write `compare.html`: one file with its styles, its drawings and the lines that sort it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from runtime_check.files import write_whole
from runtime_check.pages import shown

from ..report.numbers import grouped, percent, significant
from .charts import PIXELS, WORTHS, Scatter, scatter, series_of
from .front import COSTS
from .plan import Limits
from .result import Comparison, Cost, Row

_TEMPLATES = Path(__file__).parent / "templates"
_FRONTS: dict[Cost, str] = {"mb": "MB", "ms": "ms", "instructions": "instructions"}


def scatters(comparison: Comparison) -> list[Scatter]:
    """Lay out worth against each cost that was measured."""
    limits = Limits(**comparison.plan.get("budget", {}))
    drawn = (scatter(comparison.rows, cost, comparison.worth, limits) for cost in COSTS)
    return [each for each in drawn if each is not None]


def columns(comparison: Comparison) -> list[tuple[str, str]]:
    """Return field and heading of each column of figures that any row has."""
    metrics = dict.fromkeys(row.metric for row in comparison.exported if row.agreement is not None)
    agreement = next(iter(metrics)).capitalize() if len(metrics) == 1 else "Agreement"
    every = [
        ("accuracy", "Accuracy"),
        ("float_accuracy", "of float32"),
        ("agreement", agreement),
        ("sqnr_db", "SQNR, dB"),
        ("mb", "MB"),
        ("ms", "ms"),
        ("instructions", "M instr."),
    ]
    rows = comparison.exported
    return [(f, h) for f, h in every if any(getattr(row, f) is not None for row in rows)]


def figure(row: Row, field: str) -> str:
    """Write one figure of a row; blank where it was not measured."""
    value = getattr(row, field)
    if field == "sqnr_db":
        if value is None:
            return "identical" if row.max_abs == 0 else ""
        return f"{value:.1f}"
    if field in ("mb", "ms"):
        return significant(value)
    if field == "instructions":
        return "" if value is None else significant(value / 1e6, 4)
    return percent(value)


def sort_value(row: Row, field: str) -> str:
    """Return what the table's script sorts by: a number, or nothing."""
    value = getattr(row, field)
    if value is None and field == "sqnr_db" and row.max_abs == 0:
        return "1e9"
    return "" if value is None else repr(value)


def best_first(comparison: Comparison) -> list[Row]:
    """Return the files in the order that the page begins with, and the failures after them.

    That is by worth, and of equals by what they cost.
    """

    def order(row: Row) -> tuple[bool, float, float, float]:
        value = getattr(row, comparison.worth)
        last = float("inf")
        ms = last if row.ms is None else row.ms
        return row.failed, last if value is None else -value, ms, row.mb or last

    return sorted(comparison.rows, key=order)


def fronts_said(row: Row) -> str:
    """Say under which costs no other file is better."""
    return ", ".join(_FRONTS[cost] for cost in row.fronts)


def link(path: str) -> str:
    """Write a relative path as an address."""
    return quote(path)


def judged_on(comparison: Comparison) -> str:
    """Say what the files were judged on, in a sentence."""
    rows = comparison.exported
    on = {(row.on, row.images) for row in rows}
    if any(where == "golden inputs" for where, _ in on):
        return (
            "Judged on the few golden inputs of each file, which show a wreck and no more: "
            "--evaluate DIR gives figures to choose by."
        )
    counts = sorted({images for _, images in on if images is not None})
    spans = grouped(counts[0]) if len(counts) == 1 else f"{grouped(counts[0])} to {counts[-1]}"
    labels = "with" if any(row.accuracy is not None for row in rows) else "without"
    return f"Judged on {spans} images {labels} labels, the saved file against eager float32."


_FILTERS: dict[str, Callable[..., object]] = {
    f.__name__: f
    for f in (
        best_first,
        columns,
        figure,
        fronts_said,
        grouped,
        judged_on,
        link,
        scatters,
        series_of,
        sort_value,
    )
}


def write_html(comparison: Comparison, path: Path) -> None:
    """Write the page; what it links lies beside it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([_TEMPLATES, _TEMPLATES.parents[1] / "report" / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    # Nothing but this very script may run in the page, whatever a model is called.
    script = (_TEMPLATES / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template("compare.html").render(
        found=comparison,
        limits=Limits(**comparison.plan.get("budget", {})),
        worth=WORTHS[comparison.worth],
        height=PIXELS,
        script=script,
        script_sha256=digest,
    )
    write_whole(path, page)
