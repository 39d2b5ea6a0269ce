"""What comes out: one trial's record, and `compare.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from runtime_check.artifact.metadata import Frozen
from runtime_check.bench.format import Device
from runtime_check.files import write_whole
from runtime_check.options import Format

COMPARISON_VERSION = "1.0"
RECORD = "trial.json"
COUNTED = "instructions.json"

# What a file costs, and what it is worth; both name fields of a row.
Cost = Literal["mb", "ms", "instructions"]
Worth = Literal["accuracy", "agreement", "sqnr_db"]

# Fields of a row that are a machine's and a moment's; all others are the same wherever a plan runs.
MEASURED = ("ms", "seconds", "peak_mb")


class Quality(Frozen):
    """How the file compares with float32 eager Python, and both with labels; shares from 0 to 1.

    `on` says which inputs: the folder of `--evaluate`, or the few golden inputs of the file.
    `metric` names the agreement: of classes, pixels, boxes, or the smallest cosine.
    """

    on: Literal["images", "golden inputs"]
    images: int
    metric: str = ""
    agreement: float | None = None
    sqnr_db: float | None = Field(default=None, description="null where nothing differs")
    max_abs: float | None = None
    accuracy: float | None = None
    float_accuracy: float | None = None


class TrialResult(Frozen):
    """What became of one trial. `reason` is why it failed, empty where it did not.

    `seconds` is the wall time of export and judging, `peak_bytes` the most memory that the process
    and one child of it took.
    """

    key: str
    name: str
    reason: str = ""
    file: str = ""
    sha256: str = ""
    bytes: int = 0
    task: str | None = None
    quantization: str = Field(default="", description="the recipe that was taken; auto chooses")
    untrained: bool = False
    quality: Quality | None = None
    seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def failed(self) -> bool:
        """Whether there is no file."""
        return not self.file


class Counted(Frozen):
    """ARM64 instructions of the second inference of a file on its first golden input."""

    runtime: str
    sha256: str
    instructions: int | None
    reason: str = ""


class Row(Frozen):
    """One trial as the comparison shows it; what was not measured is null.

    `folder` is relative to `compare.json`; the file and its reports lie in it. `fronts` are the
    costs under which no other row is better. `within` is null without a budget.
    """

    name: str
    model: str
    recipe: str
    input_size: int | None
    format: Format
    key: str
    reason: str = ""
    folder: str = ""
    file: str = ""
    report: str = ""
    sha256: str = ""
    task: str | None = None
    quantization: str = ""
    untrained: bool = False
    on: str = ""
    images: int | None = None
    metric: str = ""
    accuracy: float | None = None
    float_accuracy: float | None = None
    agreement: float | None = None
    sqnr_db: float | None = None
    max_abs: float | None = None
    mb: float | None = None
    ms: float | None = Field(default=None, description="median of one thread on `device`")
    instructions: int | None = None
    counted_on: str = ""
    fronts: list[Cost] = Field(default=[])
    within: bool | None = None
    seconds: float | None = None
    peak_mb: float | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no file."""
        return not self.file


class Comparison(Frozen):
    """`compare.json`. `worth` is the figure that rows are ranked by."""

    format: Literal["model-comparison"] = "model-comparison"
    version: str = COMPARISON_VERSION
    made_by: dict[str, str]
    plan: dict[str, Any]
    worth: Worth
    rows: list[Row]
    picked: str | None = Field(default=None, description="`file` of the winner under the budget")
    picked_why: str = ""
    device: Device | None = Field(default=None, description="where ms were measured")
    timing: str = ""
    counting: str = ""

    @property
    def exported(self) -> list[Row]:
        """The rows that have a file."""
        return [row for row in self.rows if not row.failed]


def without_measured(comparison: Comparison) -> dict[str, Any]:
    """Return what is the same wherever and whenever the plan runs: all but times and memory."""
    values = comparison.model_dump(mode="json", exclude={"device", "timing"})
    for row in values["rows"]:
        for name in MEASURED:
            del row[name]
        row["fronts"] = [cost for cost in row["fronts"] if cost != "ms"]
    return values


def read_record(folder: Path, key: str) -> TrialResult | None:
    """Read the record of a finished trial; None where it is missing, damaged or of another key."""
    try:
        text = (folder / RECORD).read_text(encoding="utf-8")
        result = TrialResult.model_validate_json(text)
    except (OSError, ValueError):
        return None
    there = result.failed or (folder / result.file).is_file()
    return result if result.key == key and there else None


def read_count(folder: Path, runtime: str, sha256: str) -> Counted | None:
    """Read the instruction count of a trial's file; None where that is not there."""
    try:
        text = (folder / COUNTED).read_text(encoding="utf-8")
        counted = Counted.model_validate_json(text)
    except (OSError, ValueError):
        return None
    return counted if (counted.runtime, counted.sha256) == (runtime, sha256) else None


def write_json(comparison: Comparison, path: Path) -> None:
    """Write `compare.json` in one step."""
    write_whole(path, comparison.model_dump_json(indent=1) + "\n")
