"""What is known about an export, as one value: `NAME.report.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from torch import nn

from runtime_check.artifact.metadata import Frozen, LedgerRow, Metadata
from runtime_check.differences import blocks
from runtime_check.files import file_sha256
from runtime_check.reference.weights import WeightsRead

from ..image.folders import SkippedImages
from ..image.preprocess import PreprocessingDifference
from ..notes import Note
from ..progress import Step
from ..quantize.place import CalibrationChoice
from .golden import GoldenView


class SizeRow(Frozen):
    """Bytes of one kind of layer, or of one part of the file."""

    kind: str
    count: int
    bytes: int


class Histogram(Frozen):
    """Absolute differences file against eager, by powers of ten: counts between `edges`."""

    edges: list[float]
    counts: list[int]
    zeros: int


class EpochView(Frozen):
    """One epoch of fine-tuning; `score` is the validation's, int8 simulated, 0 to 1."""

    epoch: int  # from 1
    loss: float
    score: float | None


class TrainingView(Frozen):
    """What quantization-aware training did; `metric` is what scores count.

    `before` is the score before the first step, `float32` that of the model to match. The best
    epoch is the one that was shipped; 0 is the state before training.
    """

    metric: Literal["accuracy", "agreement", "sqnr_db"]
    images: int
    before: float | None
    float32: float | None
    epochs: list[EpochView]
    best_epoch: int
    resumed_from: int = 0  # epochs that an earlier run had done


class LayerView(Frozen):
    """What became of one layer; `why_float` is empty for an int8 layer.

    `weights` is `int8 per_channel`, `int8 per_tensor` or `float32`. `kernel_steps` is how far the
    int8 kernel's output lies from its simulation's, in quantization steps on average; None where
    that was not measured.
    """

    name: str
    kind: str
    int8: bool
    weights: str
    parameters: int
    why_float: str = ""
    kernel_steps: float | None = None


class Report(Frozen):
    """`NAME.report.json`. `metadata.ledger` has no times (they are the machine's); `ledger` has.

    `weights` is what reading them decided, None where a library read them. `skipped` sums up
    the image files that could not serve. `calibration` is what static int8 chose by measuring.
    """

    metadata: Metadata
    file: str
    file_bytes: int
    file_sha256: str
    ledger: list[LedgerRow]
    load_ms: float | None
    peak_mb: float | None
    steps: list[Step]
    weights: WeightsRead | None
    training: TrainingView | None
    layers: list[LayerView]
    layer_types: list[SizeRow]
    parts: list[SizeRow]
    histogram: Histogram | None
    golden: list[GoldenView]
    preprocessing: PreprocessingDifference | None
    skipped: list[SkippedImages]
    calibration: CalibrationChoice | None
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


def part_sizes(
    records: Sequence[tuple[str, int]], total: int, *, program: int = 0
) -> list[SizeRow]:
    """Add up the file's records by what they are, and what is left for the zip itself.

    `program` bytes lie in front of the zip: weights and code in one.
    """

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
    if program:
        sizes["program"], counts["program"] = program, 1
    rest = total - sum(sizes.values())
    rows = [SizeRow(kind=k, count=counts[k], bytes=n) for k, n in sizes.most_common()]
    return [*rows, SizeRow(kind="zip and alignment", count=1, bytes=max(0, rest))]


def histogram(expected: Sequence[np.ndarray], actual: Sequence[np.ndarray]) -> Histogram:
    """Count absolute differences by powers of ten, exact zeros apart.

    Arrays of another shape, as of another number of boxes, have none.
    """
    zeros = 0
    counts: Counter[int] = Counter()
    for one, other in zip(expected, actual, strict=True):
        if one.shape != other.shape:
            continue
        for _, left, right in blocks(one, other):
            with np.errstate(invalid="ignore"):  # what is infinite on both sides has no distance
                distances = np.abs(left.astype(np.float64) - right.astype(np.float64))
            zeros += distances.size - np.count_nonzero(distances)
            distances = distances[(distances > 0) & (distances < np.inf)]
            powers = np.floor(np.log10(distances, out=distances)).astype(np.int16)
            counts.update(dict(zip(*map(np.ndarray.tolist, _counted(powers)), strict=True)))
    if not counts:
        return Histogram(edges=[], counts=[], zeros=zeros)
    low, high = min(counts), max(counts) + 1
    return Histogram(
        edges=[10.0**n for n in range(low, high + 1)],
        counts=[counts[n] for n in range(low, high)],
        zeros=zeros,
    )


def _counted(powers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values in `powers` and how often each is there."""
    if not powers.size:
        return powers, powers
    low = int(powers.min())
    counts = np.bincount(powers - low)
    values = np.flatnonzero(counts)
    return values + low, counts[values]


def beside(artifact: Path, ending: str) -> Path:
    """Return where the report of a file is: `NAME.report.json`, or `NAME.pte.report.json`.

    Both formats of one model may lie in one folder.
    """
    if artifact.suffix == ".ptl":
        return artifact.with_suffix(ending)
    return artifact.with_name(f"{artifact.name}{ending}")


def write_json(report: Report, path: Path) -> None:
    """Write `NAME.report.json`."""
    path.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_report(artifact: Path) -> Report | None:
    """Read the report beside a file; None without one about these bytes."""
    try:
        text = beside(artifact, ".report.json").read_text(encoding="utf-8")
        report = Report.model_validate_json(text)
    except (FileNotFoundError, ValueError):
        return None
    return report if report.file_sha256 == file_sha256(artifact) else None
