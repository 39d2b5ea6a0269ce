"""report.html: everything the report knows is on the page, nothing else is, and it is one file."""

import html.parser
import math
import re
from typing import get_args

import numpy as np
import pytest

from exporter.notes import Note, NoteKind
from exporter.progress import Step
from exporter.report.charts import histogram_chart
from exporter.report.numbers import brief, file_size, part, percent, scientific, significant
from exporter.report.page import (
    ledger_rows,
    notes_about,
    operator_groups,
    standing,
    write_html,
)
from exporter.report.report import (
    GoldenView,
    Histogram,
    PreprocessingView,
    Report,
    SizeRow,
    golden_view,
    histogram,
)
from runtime_check.artifact.metadata import (
    Capture,
    ImageInput,
    LedgerRow,
    Metadata,
    Output,
    Pass,
    Preprocessing,
    ProducedBy,
    Provenance,
    Quantization,
    RuntimeVerdict,
    TensorInput,
    TensorSpec,
    ToleranceSpec,
    Weights,
)

VOID = {"meta", "link", "img", "br", "rect", "line"}


class Page(html.parser.HTMLParser):
    """A page as tests see it: tags with attributes, table rows, and the visible text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.rows, self.words, self.open = [], [], [], []
        self._cell = None
        self.feed(text)
        self.close()
        assert not self.open, f"unclosed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = []

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.rows[-1].append(" ".join("".join(self._cell).split()))
            self._cell = None

    def handle_data(self, data):
        if self.open and self.open[-1] in ("style", "title"):
            return
        self.words.append(data)
        if self._cell is not None:
            self._cell.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def row(self, *start):
        return next(r for r in self.rows if tuple(r[: len(start)]) == start)


def metadata(**changes):
    fields = {
        "name": "small_net",
        "input": ImageInput(min_side=8, max_side=8192),
        "preprocessing": Preprocessing(
            input_size=(3, 32, 48),
            interpolation="bicubic",
            crop_pct=0.875,
            crop_mode="center",
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            in_graph=True,
        ),
        "output": Output(
            activation="softmax",
            labels=["ant", "bee", "cat"],
            tensors=[TensorSpec(shape=[3])],
        ),
        "quantization": Quantization(),
        "capture": Capture(method="mixed", reason="a branch", scripted_modules=["head.gate"]),
        "passes": [
            Pass(name="fold-batch-norm", stage="prepare", effect="49 batch norms folded"),
            Pass(name="fuse-add-relu", stage="optimize", effect="left out: it changed the outputs"),
        ],
        "produced_by": ProducedBy(
            exporter="0.1.0", torch="2.12.1", timm="1.0.31", bytecode_version=8
        ),
        "operators": {
            "aten::add.Tensor": 9,
            "aten::softmax.int": 1,
            "prepacked::conv2d_clamp_run": 49,
            "quantized::linear": 2,
            "prim::max.int": 4,
            "mine::special": 1,
        },
        "runtimes": [
            RuntimeVerdict(
                runtime="pytorch-2.1.0", compatible=True, how="executed", detail="5 golden cases"
            ),
            RuntimeVerdict(
                runtime="pytorch-1.13.1",
                compatible=False,
                how="operator-table",
                detail="mine::special is missing",
            ),
        ],
        "provenance": Provenance(
            source="timm",
            model="small_net",
            weights=Weights(origin="file", detail="w.safetensors", sha256="a1" * 32),
            license="apache-2.0",
        ),
        "tolerance": ToleranceSpec(atol=3.09e-4, rtol=0.0, basis="16 x 1.93e-05 over 5 inputs"),
        "ledger": LEDGER,
    }
    return Metadata(**{**fields, **changes})


LEDGER = [
    LedgerRow(stage="eager fp32", inputs=5, ms=23.36, mb=18.776),
    LedgerRow(stage="prepared", inputs=5, max_abs=0.0, top1=1.0, top5=1.0, ms=21.4, mb=18.5),
    LedgerRow(stage="captured", inputs=5, max_abs=1.371e-6, sqnr_db=114.23, top1=1.0, top5=1.0),
    LedgerRow(stage="optimized"),
    LedgerRow(
        stage="saved + reloaded",
        inputs=5,
        max_abs=1.356e-6,
        sqnr_db=111.2134,
        top1=0.9996,
        top5=1.0,
        accuracy=0.8125,
        ms=30.505,
        mb=18.58,
        note="fresh process, QNNPACK engine",
    ),
]


def report(*, meta=None, **changes):
    meta = meta or metadata()
    image = np.zeros((6, 9, 3), np.uint8)
    expected, actual = np.float32([0.1, 0.2, 0.7]), np.float32([0.1, 0.2001, 0.6999])
    shown = image if meta.input.kind == "image" else None
    fields = {
        "metadata": meta,
        "file": f"{meta.name}.ptl",
        "file_bytes": 18_780_648,
        "file_sha256": "f5" * 32,
        "ledger": meta.ledger,
        "load_ms": 22.56,
        "peak_mb": 1029.25,
        "steps": [Step(name="source", seconds=2.07), Step(name="verify", seconds=2.149)],
        "layers": [
            SizeRow(kind="Conv2d", count=49, bytes=13_400_000),
            SizeRow(kind="Linear", count=1, bytes=5_124_000),
        ],
        "parts": [
            SizeRow(kind="weights", count=101, bytes=18_524_012),
            SizeRow(kind="metadata", count=1, bytes=812),
        ],
        "histogram": Histogram(edges=[1e-8, 1e-7, 1e-6, 1e-5], counts=[149, 14, 2], zeros=75),
        "golden": [golden_view("cat", shown, expected, actual, meta.output.labels)],
        "preprocessing": PreprocessingView(
            images=3, max_levels=1.0000037, mean_levels=2.611e-4, differing=2.59e-4
        ),
        "notes": [
            Note("repair", "froze the module first (x)"),
            Note("rejected-capture", "trace: differs"),
        ],
    }
    return Report(**{**fields, **changes})


def unverified():
    rows = [*LEDGER[:4], LedgerRow(stage="saved + reloaded", note="NOT VERIFIED (--no-verify)")]
    return report(
        meta=metadata(ledger=rows),
        ledger=LEDGER[:4],
        load_ms=None,
        peak_mb=None,
        histogram=None,
        golden=[],
    )


def tensor():
    return report(
        meta=metadata(
            input=TensorInput(tensors=[TensorSpec(shape=[1, 3, 32, 48])], dynamic_batch=True),
            output=Output(activation="none", labels=None, tensors=[TensorSpec(shape=[1, 3])]),
            preprocessing=None,
        ),
        preprocessing=None,
    )


def random_weights():
    weights = Weights(origin="random", detail="RANDOM, untrained (seed 0)", sha256="0" * 64)
    provenance = Provenance(source="timm", model="small_net", weights=weights)
    return report(
        meta=metadata(provenance=provenance),
        notes=[Note("random-weights", "RANDOM WEIGHTS: this file computes nothing useful.")],
    )


def quantized():
    return report(
        meta=metadata(
            quantization=Quantization(
                method="static",
                mode="fx",
                engine="qnnpack",
                scheme="per-channel",
                int8_layers=41,
                float_layers=["stem.conv"],
            ),
            tolerance=ToleranceSpec(atol=0.01, rtol=0.0, basis="2 steps", step=0.0039),
            capture=Capture(
                method="trace", reason="forced", specialized=["net.py:3 `if x.sum() > 0`"]
            ),
        )
    )


def features():
    """A feature extractor: a map out, several inputs, nothing to rank."""
    views = [golden_view(n, None, np.ones((1, 8, 4, 4)), np.ones((1, 8, 4, 4)), None) for n in "ab"]
    rows = [*LEDGER[:4], LedgerRow(stage="saved + reloaded", inputs=5, max_abs=0.0)]
    return report(
        meta=metadata(
            input=TensorInput(tensors=[TensorSpec(shape=[1, 3, 32, 48])], dynamic_batch=False),
            output=Output(
                activation="none", labels=None, tensors=[TensorSpec(shape=[1, 8, 4, 4])] * 2
            ),
            preprocessing=None,
            passes=[],
            runtimes=[],
            ledger=rows,
        ),
        preprocessing=None,
        golden=views,
        histogram=Histogram(edges=[], counts=[], zeros=1280),
        layers=[],
        notes=[Note("batch", "the batch dimension is fixed at 1")],
    )


def outside():
    rows = [*LEDGER[:4], LedgerRow(stage="saved + reloaded", inputs=5, max_abs=0.02)]
    return report(meta=metadata(ledger=rows))


CASES = {
    "image": report,
    "unverified": unverified,
    "tensor": tensor,
    "random": random_weights,
    "quantized": quantized,
    "features": features,
    "outside": outside,
}


@pytest.fixture(scope="module")
def render(tmp_path_factory):
    """Write a report, or a case by its name, and return the page's text."""
    folder, pages = tmp_path_factory.mktemp("report"), {}

    def render(value):
        key = value if isinstance(value, str) else value.model_dump_json()
        if key not in pages:
            path = folder / f"{len(pages)}.html"
            write_html(CASES[value]() if isinstance(value, str) else value, path)
            pages[key] = path.read_text(encoding="utf-8")
        return pages[key]

    return render


@pytest.mark.parametrize("case", CASES)
def test_the_page_is_one_file_that_needs_no_other(render, case):
    text = render(case)
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form")
        assert not [a for a in attributes if a.startswith("on")]
        for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert "//" not in re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]*", "", text)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize("case", CASES)
def test_every_stage_operator_runtime_pass_and_hash_is_on_the_page(render, case):
    value = CASES[case]()
    page = Page(render(case))
    stages = [r[0] for r in page.rows if len(r) == 9]
    assert len(stages) == 1 + 5  # the head, and one row per stage
    for row in value.metadata.ledger:
        assert any(s.startswith(row.stage) and row.note in s for s in stages)
    assert [t for t, _ in page.tags].count("li") == len(value.metadata.operators)
    for operator in value.metadata.operators:
        namespace, name = operator.split("::")
        assert f"{namespace}::" in page.text
        assert name in page.text
    for verdict in value.metadata.runtimes:
        assert verdict.detail in page.row(verdict.runtime)
    for change in value.metadata.passes:
        assert change.effect in page.row(change.name)
    for sha256 in (value.file_sha256, value.metadata.provenance.weights.sha256):
        assert sha256 in page.text
    assert value.metadata.tolerance.basis in page.text
    assert value.metadata.capture.reason in page.text
    assert not re.search(r"\bNone\b(?!\.)|\bnan\b|\binf\b", page.text)


@pytest.mark.parametrize("case", CASES)
def test_the_page_can_be_read_by_a_machine_that_reads_aloud(render, case):
    page = Page(render(case))
    assert ("html", {"lang": "en"}) in page.tags
    assert [t for t, _ in page.tags].count("h1") == 1
    ids = {a["id"] for _, a in page.tags if "id" in a}
    for tag, attributes in page.tags:
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes["aria-label"]
        if tag == "th":
            assert attributes.get("scope") in ("row", "col")
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids


@pytest.mark.parametrize(
    ("case", "verdict", "words"),
    [
        ("image", "verified", "Verified within tolerance"),
        ("tensor", "verified", "Verified within tolerance"),
        ("random", "verified", "RANDOM WEIGHTS"),
        ("features", "verified", "All outputs are identical"),
        ("unverified", "unverified", "NOT VERIFIED"),
        ("outside", "outside", "NOT VERIFIED: outside the stated tolerance"),
    ],
)
def test_the_badge_says_what_the_figures_say(render, case, verdict, words):
    page = Page(render(case))
    assert [a["data-verdict"] for _, a in page.tags if "data-verdict" in a] == [verdict]
    assert words in page.text
    assert ("Verified within" in page.text) == (verdict == "verified")
    assert ("RANDOM WEIGHTS" in page.text) == (case == "random")


def test_blank_stays_blank(render):
    page = Page(render("image"))
    assert page.row("eager fp32") == ["eager fp32", "5", "", "", "", "", "", "23.4", "18.8"]
    assert page.row("optimized") == ["optimized"] + [""] * 8
    assert page.row("prepared")[2:6] == ["0", "identical", "100%", "100%"]
    saved = page.row("saved + reloadedfresh process, QNNPACK engine")
    assert saved[1:] == ["5", "1.36×10⁻⁶", "111.2", ">99.9%", "100%", "81.2%", "30.5", "18.6"]


def test_an_unverified_page_shows_no_figure_of_the_file(render):
    page = Page(render("unverified"))
    assert page.row("saved + reloadedNOT VERIFIED (--no-verify)")[1:] == [""] * 8
    assert page.text.count("not measured") == 1 + 5  # what a blank means, and five key figures
    assert "Errors" not in page.text
    assert "Golden inputs" not in page.text


def test_hostile_names_and_labels_are_text(render):
    evil = "<script>alert(1)</script>\"'><img src=http:// onerror=x>&{{ 7 * 7 }}"
    base = metadata()
    meta = metadata(
        name=evil,
        output=base.output.model_copy(update={"labels": [evil] * 3}),
        capture=Capture(method="trace", reason=evil, scripted_modules=[evil], specialized=[evil]),
        passes=[Pass(name=evil, stage="prepare", effect=evil)],
        operators={f"{evil}::{evil}": 1},
        runtimes=[RuntimeVerdict(runtime=evil, compatible=True, how="executed", detail=evil)],
        provenance=Provenance(
            source="module",
            model=evil,
            weights=Weights(origin="random", detail=evil, sha256=evil, file_sha256=evil),
            license=evil,
            options={evil: evil},
        ),
        tolerance=ToleranceSpec(atol=1e-3, rtol=0, basis=evil),
        ledger=[LedgerRow(stage=evil, note=evil)],
    )
    value = report(
        meta=meta,
        file=evil,
        notes=[Note(kind, evil) for kind in ("quantize", "repair", "rejected-capture")],
        layers=[SizeRow(kind=evil, count=1, bytes=1)],
        parts=[SizeRow(kind=evil, count=1, bytes=1)],
        steps=[Step(name=evil, seconds=1)],
        golden=[
            golden_view(evil, np.zeros((4, 4, 3), np.uint8), np.ones(3), np.ones(3), [evil] * 3)
        ],
    )
    text = render(value)
    page = Page(text)
    tags = [t for t, _ in page.tags]
    assert "script" not in tags
    assert tags.count("img") == 1
    assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on")]
    assert page.text.count(evil) > 20


def test_runtimes_say_how_and_notes_say_what(render):
    page = Page(render("image"))
    assert page.row("pytorch-2.1.0")[1:3] == ["compatible", "executed: the runtime itself ran it"]
    assert page.row("pytorch-1.13.1")[1] == "NOT compatible"
    assert "1 of 2" in page.text
    assert "no device runtime ran the file" not in page.text
    assert page.row("Repaired") == ["Repaired", "froze the module first (x)"]
    assert page.row("Capture not taken") == ["Capture not taken", "trace: differs"]
    quiet = Page(render(report(meta=metadata(runtimes=metadata().runtimes[1:]))))
    assert "no device runtime ran the file" in quiet.text


def test_quantisation_and_frozen_branches_are_told(render):
    page = Page(render("quantized"))
    assert page.row("Quantisation")[1] == "static, fx, qnnpack, per-channel; 41 layers in int8"
    assert page.row("Left in float")[1] == "stem.conv"
    assert "`if x.sum() > 0`" in page.row("Frozen branches")[1]
    assert "one quantisation step is 3.90×10⁻³" in page.text
    # That tolerance is against the quantised module, the histogram's errors are against float32.
    assert ("text", "limit-label") not in [(t, a.get("class")) for t, a in page.tags]
    fp32 = Page(render("image"))
    assert ("text", "limit-label") in [(t, a.get("class")) for t, a in fp32.tags]


def test_top_five_stand_side_by_side(render):
    page = Page(render("image"))
    assert page.row("cat", "") == ["cat", "", "70.00%", "69.99%"]
    assert "class 2" in Page(render("tensor")).text


def test_bars_of_negative_outputs_stay_inside(render):
    view = golden_view("dark", None, np.float32([-3, -1, -2]), np.float32([-3, -1, -2]), None)
    text = render(tensor().model_copy(update={"golden": [view]}))
    assert "-1.000" in text
    widths = [float(w) for w in re.findall(r'width="([-\d.]+)%"', text)]
    assert all(0 <= w <= 100 for w in widths)


# --- the histogram --------------------------------------------------------------------------------


def test_histogram_counts_every_value_and_marks_the_tolerance():
    chart = histogram_chart(Histogram(edges=[1e-8, 1e-7, 1e-6], counts=[3, 5], zeros=2), 3e-7)
    assert sum(b.count for b in chart.bars) == chart.total == 10
    assert [b.label for b in chart.bars] == ["exactly 0", "10⁻⁸ to 10⁻⁷", "10⁻⁷ to 10⁻⁶"]
    left, right = chart.bars[2].x, chart.bars[2].x + chart.bars[2].width
    assert left < chart.tolerance_x < right
    assert not any(b.beyond for b in chart.bars)


def test_histogram_shows_what_is_beyond_the_tolerance():
    chart = histogram_chart(Histogram(edges=[1e-4, 1e-3, 1e-2], counts=[1, 1], zeros=0), 1e-6)
    assert [b.beyond for b in chart.bars if b.count] == [True, True]
    assert chart.tolerance_x < chart.bars[-1].x


def test_histogram_of_many_decades_fits_and_loses_nothing():
    edges = [10.0**k for k in range(-40, 1)]
    chart = histogram_chart(Histogram(edges=edges, counts=[2] * 40, zeros=1), 1e-3)
    assert len(chart.bars) == 14
    assert sum(b.count for b in chart.bars) == 81
    assert chart.bars[1].label.startswith("up to")
    assert all(b.x >= 0 and b.x + b.width <= 100 for b in chart.bars)


@pytest.mark.parametrize("tolerance", [0.0, math.inf, 1e-5])
def test_histogram_of_identical_outputs(tolerance):
    same = np.float32([1, 2, 3])
    chart = histogram_chart(histogram([same], [same]), tolerance)
    assert chart.total == 3
    assert sum(b.count for b in chart.bars) in (0, 3)


# --- small helpers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (scientific, None, ""),
        (scientific, 0.0, "0"),
        (scientific, 1.356e-6, "1.36×10⁻⁶"),
        (scientific, 9.999e-6, "1.00×10⁻⁵"),
        (scientific, 0.25, "0.250"),
        (scientific, 2.5e12, "2.50×10¹²"),
        (significant, None, ""),
        (significant, 1029.2, "1,029"),
        (significant, 0.0421, "0.0421"),
        (percent, None, ""),
        (percent, 1.0, "100%"),
        (percent, 0.0, "0%"),
        (percent, 0.99999, ">99.9%"),
        (percent, 0.00001, "<0.1%"),
        (percent, 0.5, "50.0%"),
        (file_size, 812, "812 B"),
        (file_size, 27_457, "27.5 kB"),
        (file_size, 18_780_648, "18.8 MB"),
        (file_size, 1_200_000_000, "1.20 GB"),
        (brief, 9_999, "9,999"),
        (brief, 123_456, "123k"),
        (brief, 1_234_567, "1.2M"),
    ],
)
def test_numbers_for_people(function, value, text):
    assert function(value) == text


def test_parts_stay_between_nothing_and_all():
    assert [part(v, 10) for v in (None, -1, 5, 20, math.nan)] == [0, 0, 50, 100, 0]
    assert part(1, 0) == 0


def test_operators_are_grouped_and_sorted():
    groups = operator_groups(metadata().operators)
    assert [g.namespace for g in groups] == ["prepacked", "quantized", "aten", "prim", "mine"]
    assert groups[2].operators == (("add.Tensor", 9), ("softmax.int", 1))
    assert groups[2].calls == 10


def test_standing_needs_the_saved_file_to_be_measured():
    assert standing(report()) == "verified"
    assert standing(report(ledger=LEDGER[:4])) == "unverified"
    assert standing(outside()) == "outside"
    assert standing(quantized()) == "verified"


def test_ledger_rows_add_only_what_was_not_timed():
    assert ledger_rows(report()) == LEDGER
    assert [r.stage for r in ledger_rows(unverified())] == [r.stage for r in LEDGER]


def test_notes_are_sorted_and_none_is_lost(render):
    kinds = get_args(NoteKind)
    value = report(notes=[Note(kind, f"text of {kind}") for kind in kinds])
    assert notes_about(value, "repair") == ["text of repair"]
    assert notes_about(value, "noise", "batch") == ["text of noise", "text of batch"]
    page = render(value)
    shown = set(kinds) - {"random-weights"}  # these have the alarm at the top of the page
    assert all(f"text of {kind}" in page for kind in shown)


def test_golden_view_of_a_map_has_no_classes():
    view = golden_view("a", None, np.ones((1, 2, 3, 3)), np.ones((1, 2, 3, 3)), None)
    assert view == GoldenView(name="a", width=0, height=0, png="", max_abs=0.0, top=[])
