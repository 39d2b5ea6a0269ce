"""Charts lose nothing and stay inside."""

from __future__ import annotations

import math

import numpy as np
import pytest

from exporter.report.charts import LINE_PIXELS, histogram_chart, line_chart, training_charts
from exporter.report.report import EpochView, Histogram, TrainingView, histogram


def test_histogram_counts_every_value_and_marks_the_tolerance() -> None:
    chart = histogram_chart(Histogram(edges=[1e-8, 1e-7, 1e-6], counts=[3, 5], zeros=2), 3e-7)
    assert sum(b.count for b in chart.bars) == chart.total == 10
    assert [b.label for b in chart.bars] == ["exactly 0", "10⁻⁸ to 10⁻⁷", "10⁻⁷ to 10⁻⁶"]
    left, right = chart.bars[2].x, chart.bars[2].x + chart.bars[2].width
    assert chart.tolerance_x is not None
    assert left < chart.tolerance_x < right
    assert not any(b.beyond for b in chart.bars)


def test_histogram_shows_what_is_beyond_the_tolerance() -> None:
    chart = histogram_chart(Histogram(edges=[1e-4, 1e-3, 1e-2], counts=[1, 1], zeros=0), 1e-6)
    assert [b.beyond for b in chart.bars if b.count] == [True, True]
    assert chart.tolerance_x is not None
    assert chart.tolerance_x < chart.bars[-1].x


def test_histogram_of_many_decades_fits_and_loses_nothing() -> None:
    edges = [10.0**k for k in range(-40, 1)]
    chart = histogram_chart(Histogram(edges=edges, counts=[2] * 40, zeros=1), 1e-3)
    assert len(chart.bars) == 14
    assert sum(b.count for b in chart.bars) == 81
    assert chart.bars[1].label.startswith("up to")
    assert all(b.x >= 0 and b.x + b.width <= 100 for b in chart.bars)


@pytest.mark.parametrize("tolerance", [0.0, math.inf, 1e-5])
def test_histogram_of_identical_outputs(tolerance: float) -> None:
    same = np.float32([1, 2, 3])
    chart = histogram_chart(histogram([same], [same]), tolerance)
    assert chart.total == 3
    assert sum(b.count for b in chart.bars) in (0, 3)


def training(count: int, **changes: object) -> TrainingView:
    fields: dict[str, object] = {
        "metric": "accuracy",
        "images": 100,
        "before": 0.5,
        "float32": 0.9,
        "epochs": [EpochView(epoch=n, loss=1 / n, score=1 - 0.4 / n) for n in range(1, count + 1)],
        "best_epoch": count,
    }
    return TrainingView.model_validate({**fields, **changes})


@pytest.mark.parametrize("epochs", [1, 3, 40])
def test_training_shows_every_epoch_inside_the_chart(epochs: int) -> None:
    scores, losses = training_charts(training(epochs), "Pixel agreement")
    assert len(scores.dots) == epochs + 1  # and the state before
    assert len(losses.dots) == epochs
    for chart in (scores, losses):
        assert [dot.best for dot in chart.dots].index(True) == len(chart.dots) - 1
        assert chart.dots[-1].label, "the best epoch has its number"
        assert all(0 <= dot.x <= 100 and 0 <= dot.y <= LINE_PIXELS for dot in chart.dots)
        assert len([dot for dot in chart.dots if dot.label]) <= 9
        assert len(chart.ticks) <= 10
    assert scores.dots[0].y > scores.dots[-1].y, "up is better"
    assert scores.reference is not None
    assert scores.reference[1] == "float32 90.0%"


def test_training_without_classes_shows_the_loss_alone() -> None:
    epochs = [EpochView(epoch=1, loss=0.5, score=None)]
    charts = training_charts(
        training(1, metric="agreement", before=None, float32=None, epochs=epochs), "Cosine"
    )
    assert [chart.title for chart in charts] == ["Mean loss"]


def test_scores_of_values_are_decibels() -> None:
    epochs = [EpochView(epoch=1, loss=0.5, score=31.26), EpochView(epoch=2, loss=0.4, score=None)]
    scores, _ = training_charts(
        training(1, metric="sqnr_db", before=24.0, float32=None, epochs=epochs), "Agreement"
    )
    assert scores.title == "SQNR against float32"
    assert [dot.label for dot in scores.dots] == ["24.0 dB", "31.3 dB"]


def test_scores_without_labels_are_those_of_the_tasks_metric() -> None:
    titles = [
        [chart.title for chart in training_charts(training(2, metric=metric), "Pixel agreement")]
        for metric in ("agreement", "accuracy")
    ]
    assert titles == [
        ["Pixel agreement with float32", "Mean loss"],
        ["Accuracy", "Mean loss"],
    ]


def test_a_line_of_equal_values_is_drawn() -> None:
    chart = line_chart("x", [(1, 0.0), (2, 0.0)], str, best=1)
    assert {dot.y for dot in chart.dots} == {0.0}


def test_arrays_of_another_shape_have_no_differences() -> None:
    """As what a detector of int8 weights finds, of which there may be more or fewer."""
    boxes = np.zeros((3, 4), np.float32)
    found = histogram([boxes, boxes + 1], [boxes[:2], boxes])
    assert (found.zeros, sum(found.counts)) == (0, 12)
    assert histogram([boxes], [boxes[:2]]).zeros == 0
