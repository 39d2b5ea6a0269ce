"""Plots as numbers, with places worked out by hand."""

from __future__ import annotations

import pytest

from exporter.compare.charts import PIXELS, scatter, series_of, significant_tick, writer
from exporter.compare.front import with_fronts
from exporter.compare.plan import Limits

from .trials import failure, row

ROWS = with_fronts(
    [
        row("small", mb=10.0, agreement=0.5),
        row("large", mb=20.0, agreement=1.0, recipe="static"),
        row("beaten", mb=20.0, agreement=0.5),
        failure("gone", "it broke"),
    ],
    "agreement",
)


def test_places() -> None:
    plot = scatter(ROWS, "mb", "agreement", Limits(mb=15.0))
    assert plot is not None
    small, large, beaten = plot.dots
    # A margin of 6 % on both sides of 10 to 20: 9.4 to 20.6, from 3 to 97 per cent.
    assert small.x == pytest.approx(3 + 94 * 0.6 / 11.2, abs=0.01)
    assert large.x == beaten.x == pytest.approx(3 + 94 * 10.6 / 11.2, abs=0.01)
    # No share is above 1, so that the best stands at the top.
    assert large.y == 16.0
    assert small.y == beaten.y > large.y
    assert small.y < PIXELS
    assert [dot.on_front for dot in plot.dots] == [True, True, False]
    assert plot.steps == ((small.x, small.y), (large.x, small.y), (large.x, large.y))
    assert plot.limit == (50.0, "budget 15 MB")
    assert [label for _, label in plot.x_ticks] == ["10", "12", "14", "16", "18", "20"]
    assert [label for _, label in plot.y_ticks] == ["50%", "60%", "70%", "80%", "90%", "100%"]
    assert large.title == "large.ptl: 20.0 MB, 100%"


def test_names_stand_beside_the_front_and_inside_the_plot() -> None:
    plot = scatter(ROWS, "mb", "agreement", Limits())
    assert plot is not None
    assert [(d.label, d.anchor) for d in plot.dots] == [
        ("small", "start"),
        ("large", "end"),
        ("", "start"),
    ]


def test_names_that_have_no_room_are_left_out() -> None:
    rows = [row(f"m{i}", mb=10.0 + i / 100, agreement=0.9 + i / 1000) for i in range(5)]
    rows.append(row("far", mb=20.0, agreement=0.99))
    plot = scatter(with_fronts(rows, "agreement"), "mb", "agreement", Limits())
    assert plot is not None
    assert [d.label for d in plot.dots if d.label] == ["m4", "far"]


def test_costs_that_differ_much_are_on_a_logarithmic_axis() -> None:
    rows = [row("a", mb=1.0), row("b", mb=10.0), row("c", mb=100.0)]
    plot = scatter(with_fronts(rows, "agreement"), "mb", "agreement", Limits())
    assert plot is not None
    left, middle, right = (dot.x for dot in plot.dots)
    assert middle - left == pytest.approx(right - middle, abs=0.02)
    assert [label for _, label in plot.x_ticks] == ["1", "2", "5", "10", "20", "50", "100"]


def test_equal_figures_do_not_divide_by_nothing() -> None:
    plot = scatter([row("a"), row("b")], "mb", "agreement", Limits())
    assert plot is not None
    assert all(0 < dot.x < 100 for dot in plot.dots)


def test_nothing_is_drawn_of_what_was_not_measured() -> None:
    assert scatter(ROWS, "ms", "agreement", Limits()) is None
    assert scatter([row("a", mb=1.0)], "mb", "agreement", Limits()) is None


def test_each_recipe_has_its_mark() -> None:
    assert series_of(ROWS) == {"none": 0, "static": 1}


def test_words() -> None:
    assert significant_tick(0.5) == "0.5"
    assert significant_tick(2000.0) == "2,000"
    assert writer("sqnr_db")(31.25) == "31.2 dB"
    assert writer("sqnr_db", tick=True)(30.0) == "30"
    assert writer("accuracy")(0.8125) == "81.2%"
    assert writer("accuracy", tick=True)(0.825) == "82.5%"
