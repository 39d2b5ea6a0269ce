"""The artifact contract: what `extra/metadata.json` and `extra/golden.json` of a file hold.

Python, Kotlin and Swift read the same two records. The JSON Schema of both is generated from
these models into `tests/golden/` (`python -m runtime_check.artifact.metadata DIR`), so a field
cannot change on one side only.
"""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ..errors import UnreadableArtifact, UnsupportedSchema
from ..files import write_whole
from ..printable import printable
from ..tasks import Task
from .input import ImageInput as ImageInput
from .input import InputTensor as InputTensor
from .input import TensorInput as TensorInput
from .json_text import BadJson, read_json
from .limits import (
    MAX_BYTECODE_VERSION,
    MAX_CASES,
    MAX_ELEMENTS,
    MAX_PIXELS,
    MAX_ROWS,
    MAX_TENSORS,
    Count,
    Finite,
    Name,
    Side,
    Text,
)
from .output import Detection as Detection
from .output import Output as Output
from .output import OutputTensor as OutputTensor
from .output import Step as Step
from .program import Format as Format
from .program import Program as Program
from .tensors import Frozen as Frozen
from .tensors import SampledData as SampledData
from .tensors import TensorData as TensorData
from .tensors import TensorSpec as TensorSpec

SCHEMA_VERSION = "2.1"
METADATA_RECORD = "extra/metadata.json"
GOLDEN_RECORD = "extra/golden.json"

_VERSION = re.compile(r"\d{1,3}\.\d{1,3}")

M = TypeVar("M", bound=BaseModel)


class Preprocessing(Frozen):
    """timm's evaluation transform, in timm's field names."""

    input_size: tuple[Side, Side, Side] = Field(
        description="channels, height, width of the network"
    )
    interpolation: Literal["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"]
    crop_pct: float = Field(gt=0, le=1e3)
    crop_mode: Literal["center", "squash", "border"]
    mean: tuple[Finite, ...] = Field(min_length=1, max_length=MAX_TENSORS)
    std: tuple[Annotated[Finite, Field(gt=0)], ...] = Field(min_length=1, max_length=MAX_TENSORS)
    in_graph: bool = Field(description="true: `forward` does all of this itself")

    @model_validator(mode="after")
    def _fits(self) -> Preprocessing:
        channels, height, width = self.input_size
        if math.prod(self.input_size) > MAX_ELEMENTS:
            raise ValueError(f"input_size: more than {MAX_ELEMENTS} elements")
        if not self.in_graph:
            return self
        if not (channels == len(self.mean) == len(self.std) and channels in (1, 3, 4)):
            raise ValueError("input_size, mean and std: a photo has 1, 3 or 4 channels")
        resized = [math.floor(side / self.crop_pct) for side in (height, width)]
        if not 1 <= math.prod(resized) <= MAX_PIXELS:
            raise ValueError(f"crop_pct: a photo would be resized to {resized[0]} x {resized[1]}")
        return self


class Quantization(Frozen):
    """How weights and activations are stored and computed; `none` means float32 throughout."""

    method: Literal["none", "dynamic", "static", "qat"] = "none"
    mode: Literal["fx", "eager"] | None = None
    engine: Name | None = None
    scheme: Name | None = None
    recipe: Name | None = None
    int8_layers: Count = 0
    float_layers: list[Text] = Field(default=[], max_length=MAX_ROWS)


class Capture(Frozen):
    """How the Python module became a program, and on what evidence."""

    method: Literal["script", "trace", "mixed", "export"]
    reason: Text
    scripted_modules: list[Text] = Field(default=[], max_length=MAX_ROWS)
    specialized: list[Text] = Field(
        default=[],
        max_length=MAX_ROWS,
        description="data-dependent branches frozen by --allow-specialization",
    )


class Pass(Frozen):
    """One rewrite on the way, and what it changed."""

    name: Name
    stage: Literal["prepare", "optimize"]
    effect: Text


class ProducedBy(Frozen):
    """Versions of everything that shaped the bytes."""

    exporter: Name
    torch: Name
    timm: Name | None
    bytecode_version: int | None = Field(
        default=None, ge=0, le=MAX_BYTECODE_VERSION, description="of a .ptl; null for a .pte"
    )
    executorch: Name | None = Field(default=None, description="of a .pte; null for a .ptl")

    @property
    def form(self) -> str:
        """Name the version of what a runtime has to read."""
        if self.executorch is not None:
            return f"ExecuTorch {self.executorch}"
        return f"bytecode {self.bytecode_version}"


class RuntimeVerdict(Frozen):
    """What one device runtime makes of the file."""

    runtime: Name
    compatible: bool
    how: Literal["operator-table", "executed"]
    detail: Text


class Weights(Frozen):
    """Where the parameters came from."""

    origin: Literal["package", "hub", "file", "factory", "random", "module"]
    detail: Text
    sha256: Name = Field(description="of the state dict: names, dtypes, shapes and bytes, in order")
    file_sha256: Name | None = None


class Provenance(Frozen):
    """Enough to rebuild the Python side of a comparison."""

    source: Literal["timm", "factory", "module"]
    model: Name
    weights: Weights
    license: Name | None = None
    seed: int | None = Field(
        default=None,
        ge=-(2**63),
        lt=2**63,
        description="torch's seed when random weights were drawn or a factory called",
    )
    img_size: tuple[Side, Side] | None = Field(
        default=None,
        description="height and width that a timm model was built for, where not its own",
    )


class ToleranceSpec(Frozen):
    """|actual - expected| <= atol + rtol * |expected|, and where the numbers come from."""

    atol: Finite = Field(ge=0)
    rtol: Finite = Field(ge=0)
    outputs: list[Annotated[Finite, Field(ge=0)]] = Field(
        default=[],
        max_length=MAX_TENSORS,
        description="atol of each output, where there are several; `atol` is the largest of them",
    )
    flips: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of a class map's pixels that may take another class: those whose two "
        "best scores lie within rounding of each other",
    )
    basis: Text
    step: Finite | None = Field(
        default=None, gt=0, description="int8: one quantization step of the output"
    )


# The ledger's first stage, and the one that is the file itself.
EAGER_STAGE = "eager fp32"
SAVED_STAGE = "saved + reloaded"


class LedgerRow(Frozen):
    """One stage against eager fp32. What was not measured is null, never a guess."""

    stage: Name
    inputs: Count | None = None
    max_abs: float | None = None
    sqnr_db: float | None = None
    top1: float | None = Field(default=None, description="top-1 agreement with eager fp32, 0 to 1")
    top5: float | None = None
    pixels: float | None = Field(
        default=None, description="share of a map's pixels that keep their class, 0 to 1"
    )
    miou: float | None = Field(
        default=None, description="mean over classes of intersection over union with eager fp32"
    )
    cosine: float | None = Field(
        default=None, description="smallest cosine between an embedding and eager fp32's"
    )
    boxes: float | None = Field(
        default=None, description="share of boxes matched by one of the same class, IoU >= 0.5"
    )
    accuracy: float | None = None
    ms: float | None = None
    mb: float | None = None
    note: Text = ""


class Metadata(Frozen):
    """`extra/metadata.json`."""

    schema_version: Name = SCHEMA_VERSION
    name: Name
    format: Format = Field(
        default="ptl", description="ptl: torch's lite interpreter; pte: ExecuTorch"
    )
    program: Program | None = Field(default=None, description="of a .pte; null for a .ptl")
    task: Task | None = Field(description="what the outputs are for; null where nobody said")
    task_basis: Text = Field(default="", description="how the task is known")
    input: Annotated[ImageInput | TensorInput, Field(discriminator="kind")]
    preprocessing: Preprocessing | None
    output: Output
    quantization: Quantization
    capture: Capture
    passes: list[Pass] = Field(max_length=MAX_ROWS)
    produced_by: ProducedBy
    operators: dict[Name, Count] = Field(
        max_length=MAX_ROWS, description="operator -> how often the file calls it"
    )
    runtimes: list[RuntimeVerdict] = Field(max_length=MAX_ROWS)
    provenance: Provenance
    tolerance: ToleranceSpec
    ledger: list[LedgerRow] = Field(max_length=MAX_ROWS)

    @field_validator("program")
    @classmethod
    def _of_its_format(cls, value: Program | None, info: ValidationInfo) -> Program | None:
        if (value is not None) != (info.data.get("format") == "pte"):
            raise ValueError("stated for a .pte, and for no other file")
        return value

    @field_validator("preprocessing")
    @classmethod
    def _for_photos(cls, value: Preprocessing | None, info: ValidationInfo) -> Preprocessing | None:
        if isinstance(info.data.get("input"), ImageInput) and not (value and value.in_graph):
            raise ValueError("a photo as input, but no preprocessing of it in the graph")
        given = info.data.get("input")
        if isinstance(given, ImageInput) and value and value.input_size[0] != given.channels:
            raise ValueError(f"{value.input_size[0]} channels, and the photo is {given.color}")
        return value


class GoldenCase(Frozen):
    """One input with the outputs the Python model gave for it."""

    name: Name
    inputs: list[TensorData] = Field(max_length=MAX_TENSORS)
    expected: list[SampledData] = Field(max_length=MAX_TENSORS)


class Golden(Frozen):
    """`extra/golden.json`: the apps replay it at first start."""

    schema_version: Name = SCHEMA_VERSION
    tolerance: ToleranceSpec
    cases: list[GoldenCase] = Field(min_length=1, max_length=MAX_CASES)


def _check_schema(text: bytes, where: str) -> None:
    try:
        version = read_json(text)["schema_version"]
        major = int(version[: version.index(".")]) if _VERSION.fullmatch(version) else None
    except (BadJson, KeyError, TypeError) as error:
        why = str(error) if isinstance(error, BadJson) else "it has no schema_version"
        raise UnreadableArtifact(
            f"{where} is not the JSON this tool writes: {why}. The file is damaged or was not made "
            "by `python -m exporter`. Export the model again."
        ) from error
    if major is None:
        raise UnreadableArtifact(
            f"{where} has a schema_version that is none. The file is damaged or was not made by "
            "`python -m exporter`. Export the model again."
        )
    known = int(SCHEMA_VERSION.split(".")[0])
    if major != known:
        raise UnsupportedSchema(
            f"{where} has schema version {version}, this release reads {known}.x. "
            + ("Update this package." if major > known else "Export the model again.")
        )


def _parse(model: type[M], text: bytes, where: str) -> M:
    _check_schema(text, where)
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = printable(".".join(str(part) for part in first["loc"])[:100])
        why = printable(first["msg"].removeprefix("Value error, ")[:200])
        raise UnreadableArtifact(
            f"{where} is not valid: field `{field}`: {why}. "
            "The file is damaged or was written by another tool; export the model again."
        ) from error


def parse_metadata(text: bytes, *, where: str = METADATA_RECORD) -> Metadata:
    """Read and validate metadata; raise `UnreadableArtifact` or `UnsupportedSchema`."""
    return _parse(Metadata, text, where)


def parse_golden(text: bytes, *, where: str = GOLDEN_RECORD) -> Golden:
    """Read and validate golden vectors; raise `UnreadableArtifact` or `UnsupportedSchema`."""
    return _parse(Golden, text, where)


def write_schemas(folder: Path) -> list[Path]:
    """Write `metadata.schema.json` and `golden.schema.json` into `folder`."""
    written = []
    for name, model in (("metadata", Metadata), ("golden", Golden)):
        path = folder / f"{name}.schema.json"
        schema = json.dumps(model.model_json_schema(), indent=2, sort_keys=True) + "\n"
        write_whole(path, schema)
        written.append(path)
    return written


if __name__ == "__main__":
    for schema_path in write_schemas(Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden")):
        sys.stdout.write(f"{schema_path}\n")
