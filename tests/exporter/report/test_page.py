"""NAME.report.html: one file, all that the report knows, and never more than its figures say."""

from __future__ import annotations

import html.parser
import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from exporter.notes import Note, NoteKind
from exporter.progress import Step
from exporter.report.page import operator_groups, standing, write_html
from exporter.report.report import LayerView, Report, SizeRow
from runtime_check.artifact.metadata import LedgerRow, ToleranceSpec

from .reports import (
    CASES,
    embeddings,
    int8,
    ledger,
    metadata,
    regression,
    report,
    segmentation,
    unverified,
    views,
)

VOID = {"meta", "link", "img", "br", "rect", "line", "circle"}


class Page(html.parser.HTMLParser):
    """A page as tests see it: tags with attributes, table rows, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"unclosed: {self.open}"
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "title"):
            return
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {' '.join(data.split())}".strip()

    def row(self, start: str) -> list[str]:
        return next(row for row in self.rows if row[0].startswith(start))

    def attributes(self, name: str) -> list[str | None]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]


@pytest.fixture
def render(tmp_path: Path) -> Callable[[Report], str]:
    def render(value: Report) -> str:
        write_html(value, tmp_path / "x.report.html")
        return (tmp_path / "x.report.html").read_text(encoding="utf-8")

    return render


Render = Callable[[Report], str]


@pytest.mark.parametrize("case", CASES)
def test_the_page_is_one_file_that_needs_no_other(render: Render, case: str) -> None:
    text = render(CASES[case]())
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form")
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
            assert (attributes.get(name) or "data:").startswith("data:")
        # What a machine that reads aloud needs.
        assert tag != "img" or attributes["alt"]
        assert tag != "svg" or attributes.get("aria-hidden") or attributes["aria-label"]
    assert set(page.attributes("aria-labelledby")) <= set(page.attributes("id"))
    assert "//" not in re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]*", "", text)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize("case", CASES)
def test_all_that_the_report_knows_is_on_the_page(render: Render, case: str) -> None:
    value = CASES[case]()
    meta, page = value.metadata, Page(render(value))
    for row in meta.ledger:
        assert row.note in page.row(row.stage)[0]
    for change in meta.passes:
        assert change.effect in page.row(change.name)
    for verdict in meta.runtimes:
        assert verdict.detail in page.row(verdict.runtime)
    for layer in value.layers:
        assert not layer.why_float or layer.why_float in page.row(layer.name)
    said = [value.file_sha256, meta.provenance.weights.sha256, meta.capture.reason]
    said += [meta.tolerance.basis, *meta.capture.specialized, *meta.quantization.float_layers]
    said += [name.split("::")[1] for name in meta.operators]
    said += [step.name for step in value.steps]
    said += [note.text for note in value.notes if note.kind != "random-weights"]  # has the alarm
    said += [meta.task_basis, meta.task or "Task unknown", *(meta.output.labels or ())[:1]]
    for tensor in meta.output.tensors:
        assert page.row(tensor.name)[1] == tensor.holds.replace("_", " ")
    assert [text for text in said if text not in page.text] == []
    assert not re.search(r"\bNone\b(?!\.)|\bnan\b|\binf\b", page.text)


def test_every_kind_of_note_has_a_place(render: Render) -> None:
    kinds = set(get_args(NoteKind)) - {"random-weights"}
    page = Page(render(report(notes=[Note(kind, f"text of {kind}") for kind in kinds])))
    assert all(f"text of {kind}" in page.text for kind in kinds)


@pytest.mark.parametrize(
    ("case", "verdict", "words"),
    [
        ("image", "verified", "Verified within tolerance"),
        ("int8", "verified", "Verified within tolerance"),
        ("random", "verified", "RANDOM WEIGHTS"),
        ("features", "verified", "All outputs are identical"),
        ("unverified", "unverified", "NOT VERIFIED"),
        ("outside", "outside", "NOT VERIFIED: outside the stated tolerance"),
    ],
)
def test_the_verdict_is_never_better_than_the_figures(
    render: Render, case: str, verdict: str, words: str
) -> None:
    value = CASES[case]()
    page = Page(render(value))
    assert standing(value) == verdict
    assert page.attributes("data-verdict") == [verdict]
    assert words in page.text
    assert ("Verified within" in page.text) == (verdict == "verified")
    assert ("RANDOM WEIGHTS" in page.text) == (case == "random")
    # Without the saved file's row nothing was verified, whatever else is known.
    assert standing(value.model_copy(update={"ledger": ledger()[:4]})) == "unverified"


@pytest.mark.parametrize(
    ("pixels", "verdict", "words"),
    [
        (0.9995, "verified", "0.050% of the pixels have another class; 0.100% may"),
        (0.998, "outside", "another class than eager Python to 0.200% of the pixels; 0.100% may"),
    ],
)
def test_a_map_of_classes_is_judged_by_the_pixels_that_changed(
    render: Render, pixels: float, verdict: str, words: str
) -> None:
    """Class 7 in place of 2 is no difference of 5: a class has no distance."""
    row = LedgerRow(stage="saved + reloaded", inputs=5, max_abs=5.0, pixels=pixels)
    base = segmentation().metadata
    tolerance = ToleranceSpec(atol=0.0, rtol=0.0, flips=0.001, basis="x")
    value = report(base.model_copy(update={"tolerance": tolerance, "ledger": [row]}))
    assert standing(value) == verdict
    page = Page(render(value))
    assert page.attributes("data-verdict") == [verdict]
    assert words in page.text
    assert "another class on 0.100% of the pixels" in page.text
    # Without a share that may change, each pixel has to be the same.
    exact = tolerance.model_copy(update={"flips": 0.0})
    assert standing(report(base.model_copy(update={"tolerance": exact, "ledger": [row]}))) == (
        "outside"
    )


def test_what_was_not_measured_stays_blank(render: Render) -> None:
    page = Page(render(report()))
    assert page.row("eager fp32") == ["eager fp32", "5", "", "", "", "", "23.4", "18.8"]
    assert page.row("optimized") == ["optimized"] + [""] * 7
    assert page.row("prepared")[2:6] == ["0", "identical", "100%", "100%"]
    assert page.row("saved")[2:7] == ["1.36×10⁻⁶", "111.2", ">99.9%", "100%", "30.5"]
    page = Page(render(unverified()))
    assert page.row("saved + reloaded")[1:] == [""] * 7
    assert "Errors" not in page.text
    assert "Golden inputs" not in page.text


def test_accuracy_has_a_column_where_it_was_measured(render: Render) -> None:
    """The column was always there and always empty."""
    assert "Accuracy" not in Page(render(report())).row("Stage")
    page = Page(render(int8()))
    assert "Accuracy" in page.row("Stage")
    assert page.row("saved + reloaded")[6] == "82.1%"
    assert "eager fp32: 82.7%" in page.text


@pytest.mark.parametrize(
    ("case", "headings", "cells", "tile"),
    [
        ("image", ["Top-1", "Top-5"], [">99.9%", "100%"], "Top-1 agreement >99.9% with eager"),
        (
            "segmentation",
            ["Pixels", "mIoU"],
            ["99.9%", "98.8%"],
            "Pixel agreement 99.9% mIoU 98.8%, with eager Python, 5 inputs",
        ),
        ("embeddings", ["Cosine"], [">0.999999"], "Cosine >0.999999 the smallest, with eager"),
        ("detections", ["Boxes"], ["75.0%"], "Matched boxes 75.0% with eager Python's of the same"),
        ("depths", [], [], "Agreement max |d| only this task has no metric of its own"),
        ("regression", [], [], "Agreement max |d| only"),
        ("features", [], [], "Agreement max |d| only no metric, the task is unknown"),
    ],
)
def test_the_metric_is_the_tasks_and_no_other(
    render: Render, case: str, headings: list[str], cells: list[str], tile: str
) -> None:
    page = Page(render(CASES[case]()))
    around = ["Stage", "Inputs", "max |d|", "SQNR, dB"]
    assert page.row("Stage") == [*around, *headings, "ms", "MB"]
    saved = page.row("saved + reloaded")
    assert saved[4 : 4 + len(headings)] == cells
    assert tile in page.text
    others = {"Top-1", "Pixel agreement", "Cosine", "Matched boxes"} - {tile.split(" agree")[0]}
    assert not [other for other in others if f"{other} agreement " in page.text]


def test_what_comes_out_is_drawn_by_task(render: Render) -> None:
    """Each side has a picture, with what a machine that reads aloud needs."""
    drawn = {
        "segmentation": "Classes of",
        "depths": "Depths of",
        "detections": "Boxes in",
        "points": "Key points in",
        "image_to_image": "Picture made of",
    }
    said = {case: Page(render(CASES[case]())) for case in drawn}
    for page, what in zip(said.values(), drawn.values(), strict=True):
        alts = page.attributes("alt")
        assert f"{what} cat by eager Python" in alts
        assert f"{what} cat by the saved file" in alts
    assert said["segmentation"].row("ant") == ["ant", "66.7%", "66.7%"]
    assert "1.00 6.00 meters" in said["depths"].text
    assert said["detections"].row("cat") == ["cat", "0.900", "cat", "0.900"]
    assert "1 of 2 boxes" in said["detections"].text
    assert said["points"].row("bee") == ["bee", "4.50, 3.00", "4.50, 3.00"]
    assert "3 of 3 key points" in said["points"].text
    assert "the key points found in it" in said["points"].text
    assert "the picture made of it" in said["image_to_image"].text
    assert "0 1.00" in said["image_to_image"].text
    assert ["age", "41.500", "41.250", "years"] in Page(render(regression())).rows
    page = Page(render(embeddings()))
    assert page.row("eel")[2:] == ["0.707107", "0.707107"]
    assert "the cosine of its embedding" in page.text
    assert ["area 8", "eager", "0", "3.50", "7.00"] in said["segmentation"].rows


def test_training_and_layers_are_told(render: Render) -> None:
    page = Page(render(int8()))
    assert "Epoch 2 of 3 was the best" in page.text
    labels = [label for label in page.attributes("aria-label") if label and "by epoch" in label]
    assert "78.1%. 81.0%. 82.0% (best epoch). 83.0%. float32 82.7%" in labels[0]
    assert labels[1].startswith("Mean loss by epoch. 1.50. 0.750 (best epoch).")
    assert page.row("stem.conv")[-1] == "asked for"
    assert page.row("body.conv")[-1] == "0.0123"
    # The tolerance is against the int8 module, the histogram's errors are against float32.
    assert "limit-label" not in page.attributes("class")
    page = Page(render(report()))
    assert "limit-label" in page.attributes("class")
    assert not {"training", "layers"} & set(page.attributes("id"))


def test_names_and_labels_are_text_whatever_they_hold(render: Render) -> None:
    evil = "<script>alert(1)</script>\"'><img src=http:// onerror=x>&{{ 7 * 7 }}"
    weights = {"origin": "random", "detail": evil, "sha256": evil, "file_sha256": evil}
    meta = metadata(
        name=evil,
        output={**metadata().output.model_dump(), "labels": [evil] * 3},
        capture={"method": "trace", "reason": evil, "scripted_modules": [evil]},
        passes=[{"name": evil, "stage": "prepare", "effect": evil}],
        operators={f"{evil}::{evil}": 1},
        runtimes=[{"runtime": evil, "compatible": True, "how": "executed", "detail": evil}],
        provenance={"source": "module", "model": evil, "weights": weights},
        tolerance=ToleranceSpec(atol=1e-3, rtol=0, basis=evil),
        ledger=[LedgerRow(stage=evil, note=evil)],
    )
    layer = LayerView(name=evil, kind=evil, int8=False, weights=evil, parameters=1, why_float=evil)
    value = report(
        meta,
        file=evil,
        notes=[Note(kind, evil) for kind in get_args(NoteKind)],
        layers=[layer, layer.model_copy(update={"int8": True})],
        layer_types=[SizeRow(kind=evil, count=1, bytes=1)],
        steps=[Step(name=evil, seconds=1)],
        golden=views(meta, ([np.ones(3, np.float32)], [np.ones(3, np.float32)])),
    )
    page = Page(render(value))
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags
    assert tags.count("img") == 1
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]
    assert page.text.count(evil) > 25


def test_bars_stay_inside(render: Render) -> None:
    """Outputs below zero have bars of no length, and labels of their own."""
    output = metadata().output.model_dump()
    output["tensors"][0]["holds"], output["labels"] = "scores", None
    meta = metadata(output=output)
    scores = np.float32([-3, -1, -2])
    text = render(report(meta, golden=views(meta, ([scores], [scores]))))
    assert "-1.000" in text
    assert "class 1" in text
    widths = [float(width) for width in re.findall(r'width="([-\d.]+)%"', text)]
    assert all(0 <= width <= 100 for width in widths)


def test_operators_are_grouped_and_sorted() -> None:
    groups = operator_groups(
        {"prim::max.int": 4, "aten::b": 1, "aten::a": 9, "prepacked::x": 49, "mine::y": 1}
    )
    assert [group.namespace for group in groups] == ["prepacked", "aten", "prim", "mine"]
    assert groups[1].operators == (("a", 9), ("b", 1))
    assert groups[1].calls == 10
