"""Step 9, report: everything an export found out, as JSON, as HTML and for the terminal."""

from __future__ import annotations

import base64
import io
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from torch import nn

from runtime_check.artifact.metadata import Frozen, ImageInput, LedgerRow, Metadata, TensorSpec
from runtime_check.reference.weights import file_sha256

from ..install import ANDROID_MODELS, IOS_MODELS
from ..notes import Note
from ..progress import Step

SAVED = "saved + reloaded"
Standing = Literal["verified", "outside", "unverified"]


class SizeRow(Frozen):
    """Bytes of one kind of layer, or of one part of the file."""

    kind: str
    count: int
    bytes: int


class Bar(Frozen):
    """One class of a top-5: label and probability in eager Python and in the file."""

    label: str
    expected: float
    actual: float


class GoldenView(Frozen):
    """One golden input and what came out, for people."""

    name: str
    width: int
    height: int
    png: str  # base64
    max_abs: float
    top: list[Bar]


class Histogram(Frozen):
    """Absolute differences file against eager, by powers of ten: counts between `edges`."""

    edges: list[float]
    counts: list[int]
    zeros: int


class PreprocessingView(Frozen):
    """In-graph preprocessing against Pillow + timm, in grey levels of 0 to 255."""

    images: int
    max_levels: float
    mean_levels: float
    differing: float


class Report(Frozen):
    """`NAME.report.json`. `metadata.ledger` has no times (they are the machine's); `ledger` has."""

    metadata: Metadata
    file: str
    file_bytes: int
    file_sha256: str
    ledger: list[LedgerRow]
    load_ms: float | None
    peak_mb: float | None
    steps: list[Step]
    layers: list[SizeRow]
    parts: list[SizeRow]
    histogram: Histogram | None
    golden: list[GoldenView]
    preprocessing: PreprocessingView | None
    notes: list[Note]


def layer_sizes(module: nn.Module) -> list[SizeRow]:
    """Add up parameter and buffer bytes by layer type, largest first."""
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for layer in module.modules():
        tensors = [*layer._parameters.values(), *layer._buffers.values()]
        own = sum(t.numel() * t.element_size() for t in tensors if t is not None)
        if own:
            sizes[type(layer).__name__] += own
            counts[type(layer).__name__] += 1
    return [SizeRow(kind=k, count=counts[k], bytes=n) for k, n in sizes.most_common()]


def part_sizes(records: Sequence[tuple[str, int]], total: int) -> list[SizeRow]:
    """Add up the file's records by what they are, and what is left for the zip itself."""

    def kind(name: str) -> str:
        if name.startswith("extra/"):
            return {"extra/golden.json": "golden vectors"}.get(name, "metadata")
        if name.startswith(("constants/", "data/")):
            return "weights"
        return "bytecode" if name == "bytecode.pkl" else "code"

    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for name, size in records:
        sizes[kind(name)] += size
        counts[kind(name)] += 1
    rest = total - sum(sizes.values())
    rows = [SizeRow(kind=k, count=counts[k], bytes=n) for k, n in sizes.most_common()]
    return [*rows, SizeRow(kind="zip and alignment", count=1, bytes=max(0, rest))]


def histogram(expected: Sequence[np.ndarray], actual: Sequence[np.ndarray]) -> Histogram:
    """Count absolute differences by powers of ten, exact zeros apart."""
    distances = np.concatenate(
        [
            np.abs(e.astype(np.float64) - a.astype(np.float64)).ravel()
            for e, a in zip(expected, actual, strict=True)
        ]
    )
    nonzero = distances[(distances > 0) & np.isfinite(distances)]
    zeros = int((distances == 0).sum())
    if not nonzero.size:
        return Histogram(edges=[], counts=[], zeros=zeros)
    low, high = int(np.floor(np.log10(nonzero.min()))), int(np.floor(np.log10(nonzero.max()))) + 1
    counts, _ = np.histogram(np.log10(nonzero), bins=np.arange(low, high + 1))
    return Histogram(
        edges=[10.0**n for n in range(low, high + 1)], counts=counts.tolist(), zeros=zeros
    )


def golden_view(
    name: str,
    image: np.ndarray | None,
    expected: np.ndarray,
    actual: np.ndarray,
    labels: Sequence[str] | None,
) -> GoldenView:
    """Show one golden input: a PNG of it, and the top five classes on both sides."""
    png, height, width = "", 0, 0
    if image is not None:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        png = base64.b64encode(buffer.getvalue()).decode()
        height, width = image.shape[:2]
    top = []
    if expected.ndim == 1 or (expected.ndim == 2 and expected.shape[0] == 1):
        first, second = expected.ravel(), actual.ravel()
        for index in np.argsort(-first, kind="stable")[:5].tolist():
            label = labels[index] if labels else f"class {index}"
            top.append(Bar(label=label, expected=float(first[index]), actual=float(second[index])))
    return GoldenView(
        name=name,
        width=width,
        height=height,
        png=png,
        max_abs=float(np.abs(expected.astype(np.float64) - actual.astype(np.float64)).max()),
        top=top,
    )


# --- what the page shows, worked out here so that the template only places it ---------------------


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

    An absolute fp32 tolerance is checked again here. Others (relative, int8 steps) need the values
    and were judged by `verify`, which lets nothing pass that differs.
    """
    row, tolerance = saved_row(report), report.metadata.tolerance
    if row is None or row.max_abs is None:
        return "unverified"
    absolute = report.metadata.quantization.method == "none" and tolerance.rtol == 0
    return "outside" if absolute and not row.max_abs <= tolerance.atol else "verified"


def notes_about(report: Report, *kinds: str) -> list[str]:
    """Return the texts of the notes of these kinds."""
    return [note.text for note in report.notes if note.kind in kinds]


def describe_tensor(spec: TensorSpec) -> str:
    """Say a tensor in a few characters: `float32[1, 3, 224, 224]`."""
    return f"{spec.dtype}{spec.shape}"


def describe(metadata: Metadata) -> str:
    """Say in two or three sentences what the file takes and gives."""
    outputs = " and ".join(describe_tensor(t) for t in metadata.output.tensors)
    if isinstance(metadata.input, ImageInput):
        low, high = metadata.input.min_side, metadata.input.max_side
        takes = f"Takes a uint8 RGB image of any size, {low} to {grouped(high)} pixels a side."
    else:
        inputs = " and ".join(describe_tensor(t) for t in metadata.input.tensors)
        batch = ", any batch size" if metadata.input.dynamic_batch else ""
        takes = f"Takes {inputs}{batch}."
    what = {"softmax": "class probabilities (softmax)", "sigmoid": "probabilities (sigmoid)"}.get(
        metadata.output.activation, "the network's own outputs"
    )
    labels = metadata.output.labels
    names = f"with {grouped(len(labels))} labels" if labels else "without labels"
    sentences = [takes, f"Returns {what}, {outputs}, {names}."]
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
        "prepacked": "weights laid out for XNNPACK when the file was made",
        "quantized": "int8 kernels",
        "aten": "PyTorch's own",
        "prim": "the interpreter's own",
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
    found = {round(math.log10(e)): n for e, n in zip(lows, histogram.counts, strict=True)}
    total = histogram.zeros + sum(histogram.counts)
    marked = tolerance > 0 and math.isfinite(tolerance)
    exponents = [k for k, n in found.items() if n]
    if marked:
        exponents.append(math.floor(math.log10(tolerance)))
    if not exponents:
        return HistogramChart(bars=(), ticks=(), tolerance_x=None, total=total)
    last = max(exponents)
    first = max(min(exponents), last - _HISTOGRAM_DECADES + 1)
    below = sum(n for k, n in found.items() if k < first)
    gap = 0.5
    slot = 100 / (last - first + 2 + gap + 0.4)  # 0.4: half of the last tick label
    start = slot * (1 + gap)
    tallest = max([histogram.zeros, *found.values(), below, 1])

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
        count = found.get(k, 0) + (below if k == first else 0)
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


def next_steps(report: Report) -> list[tuple[str, str]]:
    """Return commands worth typing next, each with what it is for."""
    import shlex

    file = shlex.quote(report.file)
    return [
        (f"python -m exporter inspect {file}", "Show what is inside the file."),
        (
            f"python -m runtime_check {file}",
            "Check it again, with inputs nobody chose. Needs no exporter: fit for an app's CI.",
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


# --- numbers for people; None, what was not measured, becomes an empty text ----------------------


def power_of_ten(exponent: int) -> str:
    """Write 10 to a whole exponent: `10⁻⁶`."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def significant(value: float | None, digits: int = 3) -> str:
    """Write to `digits` significant digits: `30.5`, `0.00123`, `1,234`; never rounded to less."""
    if value is None or not math.isfinite(value):
        return "" if value is None else str(value)
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, decimals)}f}"


def scientific(value: float | None) -> str:
    """Write a difference: `1.36×10⁻⁶`, plain from 0.01 to 10,000, `0` only for exactly 0."""
    if value is None or value == 0 or not math.isfinite(value) or 0.01 <= abs(value) < 1e4:
        return significant(value)
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}×{power_of_ten(int(exponent))}"


def grouped(value: int) -> str:
    """Write a count with thousands apart."""
    return f"{value:,}"


def brief(value: int) -> str:
    """Write a count for a chart, five characters at most: `2,852`, `123k`, `1.2M`."""
    if value < 10_000:
        return grouped(value)
    unit, letter = (1e6, "M") if value >= 999_500 else (1e3, "k")
    scaled = value / unit
    return f"{scaled:.1f}{letter}" if scaled < 10 else f"{scaled:.0f}{letter}"


def file_size(count: int) -> str:
    """Write bytes in decimal units: `18.8 MB`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{significant(count / unit)} {name}"
    return f"{count} B"


def percent(share: float | None, decimals: int = 1) -> str:
    """Write a share of one; what is not quite all or nothing is not rounded to it."""
    if share is None or not math.isfinite(share):
        return ""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    least = 10.0**-decimals
    if 0 < share < least / 200:
        return f"<{least:g}%"
    if 1 - least / 200 < share < 1:
        return f">{100 - least:.{decimals}f}%"
    return f"{share:.{decimals}%}"


def part(value: float | None, whole: float) -> float:
    """Return the length of a bar in per cent of `whole`, between 0 and 100."""
    if value is None or not math.isfinite(value) or whole <= 0:
        return 0.0
    return round(100 * min(1.0, max(0.0, value / whole)), 2)


def score(value: float, probability: bool) -> str:
    """Write one class's output: a probability in per cent, anything else as a number."""
    return percent(value, 2) if probability else f"{value:.3f}"


_FILTERS: dict[str, Callable[..., object]] = {
    f.__name__: f
    for f in (
        brief,
        describe,
        describe_tensor,
        file_size,
        grouped,
        histogram_chart,
        ledger_rows,
        next_steps,
        notes_about,
        operator_groups,
        part,
        percent,
        saved_row,
        scientific,
        score,
        significant,
        standing,
    )
}


def write_json(report: Report, path: Path) -> None:
    """Write `NAME.report.json`."""
    path.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_report(artifact: Path) -> Report | None:
    """Read `NAME.report.json` beside `NAME.ptl`; None without one about these bytes."""
    try:
        text = artifact.with_suffix(".report.json").read_text(encoding="utf-8")
        report = Report.model_validate_json(text)
    except (FileNotFoundError, ValueError):
        return None
    return report if report.file_sha256 == file_sha256(artifact) else None


def write_html(report: Report, path: Path) -> None:
    """Write `NAME.report.html`, one self-contained file."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("exporter.report", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    template = environment.get_template("report.html")
    path.write_text(template.render(report=report, meta=report.metadata), encoding="utf-8")
