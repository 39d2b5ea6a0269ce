"""The page: what is on it, and that nothing else can be."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from exporter.compare.front import with_budget, with_fronts
from exporter.compare.page import best_first, columns, figure, judged_on, write_html
from exporter.compare.plan import Limits
from exporter.compare.result import Comparison

from .trials import comparison, failure, row

ROWS = [
    row("small", mb=1.25, ms=3.0, agreement=0.75, sqnr_db=20.0, instructions=43_900_000),
    row("large", mb=18.7, ms=30.0, agreement=1.0, sqnr_db=None, max_abs=0.0, recipe="auto",
        quantization="static-xnnpack: everything"),
    failure("<script>alert(1)</script>", "It is <b>broken</b>."),
]  # fmt: skip


def found(**values: object) -> Comparison:
    rows = with_budget(with_fronts(ROWS, "agreement"), Limits(mb=10.0))
    return comparison(*rows, plan={"budget": {"mb": 10.0}}, **values)


@pytest.fixture
def page(tmp_path: Path) -> str:
    given = found(picked="small.ptl", picked_why="small.ptl has the highest agreement.")
    write_html(given, tmp_path / "compare.html")
    return (tmp_path / "compare.html").read_text(encoding="utf-8")


class Cells(HTMLParser):
    """The texts of the table's rows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        self._inside = tag in ("td", "th") or (self._inside and tag in ("a", "span", "small"))
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._inside and self.rows:
            self.rows[-1][-1] += data.strip()

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")


def test_every_trial_has_a_row_and_failures_come_last(page: str) -> None:
    head, *rows = Cells(page).rows
    assert head == [
        "Model", "Recipe", "Top-1 agreement", "SQNR, dB", "MB", "ms", "M instr.",
        "On the front of", "Budget", "Report",
    ]  # fmt: skip
    assert rows == [
        ["large", "autostatic-xnnpack", "100%", "identical", "18.7", "30.0", "", "MB, ms", "over",
         "report"],
        ["smallpicked", "none", "75.0%", "20.0", "1.25", "3.00", "43.90", "MB, ms, instructions",
         "within", "report"],
        ["<script>alert(1)</script>", "static", "Failed: It is <b>broken</b>."],
    ]  # fmt: skip


def test_each_row_links_its_own_report(page: str) -> None:
    links = re.findall(r'<a href="([^"]+)"', page)
    assert links == ["trials/large/large.report.html", "trials/small/small.report.html"]


def test_nothing_comes_from_elsewhere_and_only_its_own_script_runs(page: str) -> None:
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy.replace("&#39;", "'")


def test_plots_are_there_for_what_two_files_have(page: str) -> None:
    assert re.findall(r"<figcaption>([^<]+)", page) == ["File size", "Time on this computer"]
    assert "budget 10 MB" in page
    assert "small.ptl: 1.25 MB, 75.0%" in page


def test_the_pick_or_why_there_is_none(page: str, tmp_path: Path) -> None:
    assert "Picked: small.ptl" in page
    write_html(found(picked_why="No file is within."), tmp_path / "none.html")
    assert "Nothing picked" in (tmp_path / "none.html").read_text(encoding="utf-8")


def test_a_comparison_of_failures_alone_is_a_page_too(tmp_path: Path) -> None:
    write_html(comparison(failure("gone", "It broke.")), tmp_path / "compare.html")
    text = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert "Failed: It broke." in text
    assert "<figure>" not in text


def test_untrained_models_are_called_so(page: str, tmp_path: Path) -> None:
    assert "RANDOM WEIGHTS" not in page
    write_html(comparison(row("a", untrained=True)), tmp_path / "compare.html")
    assert "RANDOM WEIGHTS" in (tmp_path / "compare.html").read_text(encoding="utf-8")


def test_figures_that_nobody_measured_have_no_column() -> None:
    assert [field for field, _ in columns(comparison(row("a")))] == ["agreement", "sqnr_db", "mb"]
    mixed = comparison(row("a"), row("b", metric="pixel agreement"))
    assert dict(columns(mixed))["agreement"] == "Agreement"
    assert figure(row("a"), "ms") == ""


def test_equals_are_in_the_order_of_what_they_cost() -> None:
    rows = [
        row("slow", ms=2.0),
        row("gone", file=""),
        row("fast", ms=1.0),
        row("good", agreement=1),
    ]
    assert [r.name for r in best_first(comparison(*rows))] == ["good", "fast", "slow", "gone"]


def test_what_was_judged_on_is_said() -> None:
    golden = judged_on(comparison(row("a", on="golden inputs", images=5)))
    assert "--evaluate DIR" in golden
    labeled = judged_on(comparison(row("a", accuracy=0.5, images=1000)))
    assert labeled.startswith("Judged on 1,000 images with labels")
    assert "10 images without labels" in judged_on(comparison(row("a")))
