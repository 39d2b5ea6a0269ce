"""What `NAME.report.html` shows, worked out here so that the template only places it."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runtime_check.artifact.metadata import ImageInput, LedgerRow, Metadata, TensorSpec
from runtime_check.metrics import FIGURES, HEADINGS, MATCH, Kind, metric_of
from runtime_check.pages import shown

from ..install import ANDROID_MODELS, IOS_MODELS
from .charts import LineChart, histogram_chart, training_charts
from .numbers import (
    brief,
    cosine,
    file_size,
    grouped,
    part,
    percent,
    scientific,
    score,
    significant,
)
from .outputs import added, output_rows, returned, task_line
from .report import Report

SAVED = "saved + reloaded"
Standing = Literal["verified", "outside", "unverified"]


def ledger_rows(report: Report) -> list[LedgerRow]:
    """Return the timed ledger, then the stages that only the metadata has (not verified)."""
    timed = {row.stage for row in report.ledger}
    return [*report.ledger, *(r for r in report.metadata.ledger if r.stage not in timed)]


def saved_row(report: Report) -> LedgerRow | None:
    """Return the row of the saved and reloaded file, if it was compared with eager Python."""
    rows = [r for r in report.ledger if r.stage == SAVED and r.max_abs is not None]
    return rows[-1] if rows else None


def standing(report: Report) -> Standing:
    """Judge the page's badge by the page's own figures, so that it never claims more than they do.

    An absolute fp32 tolerance is checked again here, for a map of classes the share of pixels
    that may take another one. Others (relative, int8 steps) need the values and were judged by
    `verify`, which lets nothing pass that differs.
    """
    row, tolerance = saved_row(report), report.metadata.tolerance
    if row is None or row.max_abs is None:
        return "unverified"
    if report.metadata.quantization.method != "none" or tolerance.rtol != 0:
        return "verified"
    flipped = flipped_share(report)
    if flipped is not None:
        return "verified" if flipped <= tolerance.flips else "outside"
    return "verified" if row.max_abs <= tolerance.atol else "outside"


def flipped_share(report: Report) -> float | None:
    """Return the share of pixels of which the file gives another class than eager Python.

    None where the tolerance is of values, not of classes, which have no distance.
    """
    row = saved_row(report)
    if not report.metadata.tolerance.flips or row is None or row.pixels is None:
        return None
    return 1 - row.pixels


_TILES: dict[Kind, str] = {
    "classes": "Top-1 agreement",
    "pixels": "Pixel agreement",
    "vectors": "Cosine",
    "boxes": "Matched boxes",
    "none": "Agreement",
}


def metric_columns(report: Report) -> list[tuple[str, str]]:
    """Return the ledger's columns of the task's metric: fields of a row, and their headings."""
    rows = ledger_rows(report)
    fields = FIGURES[metric_of(report.metadata).kind]
    measured = [f for f in fields if any(getattr(row, f) is not None for row in rows)]
    names = [HEADINGS[field] for field in measured]
    return [
        (field, name.capitalize() if name.islower() else name)
        for field, name in zip(measured, names, strict=True)
    ]


def figure(row: LedgerRow, field: str) -> str:
    """Write a row's figure of a metric; an empty text where it was not measured."""
    value: float | None = getattr(row, field)
    return cosine(value) if field == "cosine" else percent(value)


@dataclass(frozen=True)
class Tile:
    """A figure at the top of the page: what it is, its value, and a few words on it."""

    title: str
    value: str
    aside: str


def metric_tile(report: Report) -> Tile:
    """Return the saved file's figure of the task's metric."""
    kind, row = metric_of(report.metadata).kind, saved_row(report)
    title = _TILES[kind]
    if row is None:
        return Tile(title, "", "not measured")
    if kind == "none":
        known = report.metadata.task is not None
        why = "this task has no metric of its own" if known else "no metric, the task is unknown"
        return Tile(title, "max |d| only", why)
    value = figure(row, FIGURES[kind][0])
    if not value:
        return Tile(title, "", f"no {'boxes' if kind == 'boxes' else 'outputs'} to compare")
    inputs = "" if row.inputs is None else f", {row.inputs} inputs"
    asides: dict[Kind, str] = {
        "classes": f"with eager Python{inputs}",
        "pixels": f"mIoU {figure(row, 'miou')}, with eager Python{inputs}",
        "vectors": f"the smallest, with eager Python's embeddings{inputs}",
        "boxes": f"with eager Python's of the same class, IoU {MATCH:g} or more{inputs}",
    }
    return Tile(title, value, asides[kind])


def training_lines(report: Report) -> list[LineChart]:
    """Lay out the training's charts; scores without labels are those of the task's metric."""
    if report.training is None:
        return []
    return training_charts(report.training, _TILES[metric_of(report.metadata).kind])


def golden_title(report: Report) -> str:
    """Say what is shown beside each golden input."""
    views = report.golden
    bars = next((view.bars for view in views if view.bars is not None), None)
    if bars is not None:
        return {
            "probabilities": "the top five probabilities",
            "scores": "the top five outputs",
            "cosines": "the cosine of its embedding to those of the others",
        }[bars.what]
    drawing = next((view.drawing for view in views if view.drawing is not None), None)
    if drawing is not None:
        return {
            "classes": "the classes of its pixels",
            "depth": "the depths of its pixels",
            "boxes": "the boxes found in it",
            "points": "the key points found in it",
            "picture": "the picture made of it",
        }[drawing.kind]
    numbers = any(view.numbers for view in views)
    return "the numbers that come out" if numbers else "the range of each output"


def notes_about(report: Report, *kinds: str) -> list[str]:
    """Return the texts of the notes of these kinds."""
    return [note.text for note in report.notes if note.kind in kinds]


def describe_tensor(spec: TensorSpec) -> str:
    """Say a tensor in a few characters: `float32[1, 3, 224, 224]`."""
    return f"{spec.dtype}{spec.shape}"


def describe(metadata: Metadata) -> str:
    """Say in two or three sentences what the file takes and gives."""
    if isinstance(metadata.input, ImageInput):
        low, high = metadata.input.min_side, metadata.input.max_side
        color = "gray" if metadata.input.color == "L" else metadata.input.color
        takes = f"Takes a uint8 {color} image of any size, {low} to {grouped(high)} pixels a side."
    else:
        inputs = " and ".join(f"{t.name} {describe_tensor(t)}" for t in metadata.input.tensors)
        batch = ", any batch size" if metadata.input.dynamic_batch else ""
        takes = f"Takes {inputs}{batch}."
    labels = metadata.output.labels
    names = f"with {grouped(len(labels))} labels" if labels else "without labels"
    task = f"For {metadata.task}. " if metadata.task else ""
    sentences = [f"{task}{takes}", f"Returns {returned(metadata)}; {names}."]
    if metadata.preprocessing is not None:
        sentences.append(
            "Preprocessing is in the graph."
            if metadata.preprocessing.in_graph
            else "Preprocessing is not in the file; the caller does it."
        )
    return " ".join(sentences)


@dataclass(frozen=True)
class OperatorGroup:
    """Operators of one namespace, most called first; `kind` says what is special about it."""

    namespace: str
    kind: str
    operators: tuple[tuple[str, int], ...]
    calls: int


def operator_groups(operators: Mapping[str, int]) -> list[OperatorGroup]:
    """Group operators by namespace, most calls first."""
    kinds = {
        "prepacked": "weights packed for XNNPACK at export",
        "quantized": "int8 kernels",
        "aten": "PyTorch operators",
        "prim": "interpreter primitives",
    }
    groups: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for name, calls in operators.items():
        namespace, _, rest = name.rpartition("::")
        groups[namespace].append((rest, calls))
    order = list(kinds)
    return [
        OperatorGroup(
            namespace=namespace,
            kind=kinds.get(namespace, ""),
            operators=tuple(sorted(groups[namespace], key=lambda pair: (-pair[1], pair[0]))),
            calls=sum(calls for _, calls in groups[namespace]),
        )
        for namespace in sorted(
            groups, key=lambda n: (order.index(n) if n in order else len(order), n)
        )
    ]


def next_steps(report: Report) -> list[tuple[str, str]]:
    """Return commands worth typing next, each with what it is for."""
    file = shlex.quote(report.file)
    return [
        (f"python -m exporter inspect {file}", "Show what is inside the file."),
        (
            f"python -m runtime_check {file}",
            "Check it again on drawn inputs. Needs runtime_check alone, so it fits an app's CI.",
        ),
        (
            f"cp {file} android_demo/{ANDROID_MODELS.as_posix()}/",
            "Place it where the Android app looks for models.",
        ),
        (
            f"cp {file} ios_demo/{IOS_MODELS.as_posix()}/",
            "Place it where the iOS app looks for models.",
        ),
    ]


_FILTERS: dict[str, Callable[..., object]] = {
    f.__name__: f
    for f in (
        added,
        brief,
        describe,
        describe_tensor,
        figure,
        file_size,
        flipped_share,
        golden_title,
        grouped,
        histogram_chart,
        ledger_rows,
        metric_columns,
        metric_tile,
        next_steps,
        notes_about,
        operator_groups,
        output_rows,
        part,
        percent,
        saved_row,
        scientific,
        score,
        significant,
        standing,
        task_line,
        training_lines,
    )
}


def write_html(report: Report, path: Path) -> None:
    """Write `NAME.report.html`, one self-contained file."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("exporter.report", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    template = environment.get_template("report.html")
    path.write_text(template.render(report=report, meta=report.metadata), encoding="utf-8")
