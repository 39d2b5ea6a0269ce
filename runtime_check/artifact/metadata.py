"""The artifact contract: what `extra/metadata.json` and `extra/golden.json` of a `.ptl` hold.

Python, Kotlin and Swift read the same two records. The JSON Schema of both is generated from
these models into `tests/golden/` (`python -m runtime_check.artifact.metadata DIR`), so a field
cannot change on one side only.
"""

from __future__ import annotations

import base64
import json
import math
import sys
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from ..errors import UnreadableArtifact, UnsupportedSchema

SCHEMA_VERSION = "1.1"
METADATA_RECORD = "extra/metadata.json"
GOLDEN_RECORD = "extra/golden.json"

M = TypeVar("M", bound=BaseModel)
Dtype = Literal["uint8", "float32", "float64", "int64", "int32", "bool"]


class Frozen(BaseModel):
    """Base of every model here: immutable, NaN written as null, unknown keys kept out.

    Unknown keys are ignored on reading, so a file of a newer *minor* version still loads.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class ImageInput(Frozen):
    """One photo: uint8 RGB, height x width x 3, any size within the stated bounds."""

    kind: Literal["image"] = "image"
    dtype: Literal["uint8"] = "uint8"
    layout: Literal["HWC"] = "HWC"
    color: Literal["RGB"] = "RGB"
    min_side: int = Field(ge=1, description="smallest height or width accepted, pixels")
    max_side: int = Field(ge=1, description="largest height or width accepted, pixels")
    max_aspect: int = Field(
        default=32, ge=1, description="largest ratio of the long to the short side accepted"
    )


class TensorSpec(Frozen):
    """One tensor argument of `forward`."""

    shape: list[int]
    dtype: Dtype = "float32"


class TensorInput(Frozen):
    """The bare network: tensors of stated shape, already preprocessed."""

    kind: Literal["tensor"] = "tensor"
    tensors: list[TensorSpec] = Field(min_length=1)
    dynamic_batch: bool = Field(description="whether the first dimension may differ from `shape`")


class Preprocessing(Frozen):
    """timm's evaluation transform, in timm's field names."""

    input_size: tuple[int, int, int] = Field(description="channels, height, width of the network")
    interpolation: str
    crop_pct: float
    crop_mode: Literal["center", "squash", "border"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    in_graph: bool = Field(description="true: `forward` does all of this itself")


class Output(Frozen):
    """What `forward` returns."""

    activation: Literal["softmax", "sigmoid", "none"]
    labels: list[str] | None = Field(description="one per class, or null where none are known")
    tensors: list[TensorSpec] = Field(min_length=1, description="shapes for the first golden input")


class Quantization(Frozen):
    """How weights and activations are stored and computed; `none` means float32 throughout."""

    method: Literal["none", "dynamic", "static", "qat"] = "none"
    mode: Literal["fx", "eager"] | None = None
    engine: str | None = None
    scheme: str | None = None
    recipe: str | None = None
    int8_layers: int = 0
    float_layers: list[str] = []


class Capture(Frozen):
    """How the Python module became TorchScript, and on what evidence."""

    method: Literal["script", "trace", "mixed"]
    reason: str
    scripted_modules: list[str] = []
    specialized: list[str] = Field(
        default=[],
        validation_alias=AliasChoices("specialized", "specialised"),  # as schema 1.0 spelled it
        description="data-dependent branches frozen by --allow-specialization",
    )


class Pass(Frozen):
    """One rewrite on the way, and what it changed."""

    name: str
    stage: Literal["prepare", "optimize"]
    effect: str


class ProducedBy(Frozen):
    """Versions of everything that shaped the bytes."""

    exporter: str
    torch: str
    timm: str | None
    bytecode_version: int


class RuntimeVerdict(Frozen):
    """What one device runtime makes of the file."""

    runtime: str
    compatible: bool
    how: Literal["operator-table", "executed"]
    detail: str


class Weights(Frozen):
    """Where the parameters came from."""

    origin: Literal["package", "hub", "file", "factory", "random", "module"]
    detail: str
    sha256: str = Field(description="of the state dict: names, dtypes, shapes and bytes, in order")
    file_sha256: str | None = None


class Provenance(Frozen):
    """Enough to rebuild the Python side of a comparison."""

    source: Literal["timm", "factory", "module"]
    model: str
    weights: Weights
    license: str | None = Field(
        default=None,
        validation_alias=AliasChoices("license", "licence"),  # as schema 1.0 spelled it
    )
    seed: int | None = Field(
        default=None, description="torch's seed when random weights were drawn or a factory called"
    )


class ToleranceSpec(Frozen):
    """|actual - expected| <= atol + rtol * |expected|, and where the numbers come from."""

    atol: float
    rtol: float
    basis: str
    step: float | None = Field(
        default=None, description="int8: one quantization step of the output"
    )


# The ledger's first stage, and the one that is the file itself.
EAGER_STAGE = "eager fp32"
SAVED_STAGE = "saved + reloaded"


class LedgerRow(Frozen):
    """One stage against eager fp32. What was not measured is null, never a guess."""

    stage: str
    inputs: int | None = None
    max_abs: float | None = None
    sqnr_db: float | None = None
    top1: float | None = Field(default=None, description="top-1 agreement with eager fp32, 0 to 1")
    top5: float | None = None
    accuracy: float | None = None
    ms: float | None = None
    mb: float | None = None
    note: str = ""


class Metadata(Frozen):
    """`extra/metadata.json`."""

    schema_version: str = SCHEMA_VERSION
    name: str
    input: Annotated[ImageInput | TensorInput, Field(discriminator="kind")]
    preprocessing: Preprocessing | None
    output: Output
    quantization: Quantization
    capture: Capture
    passes: list[Pass]
    produced_by: ProducedBy
    operators: dict[str, int] = Field(description="operator -> how often the bytecode calls it")
    runtimes: list[RuntimeVerdict]
    provenance: Provenance
    tolerance: ToleranceSpec
    ledger: list[LedgerRow]


class TensorData(Frozen):
    """A tensor as little-endian bytes in C order, base64."""

    shape: list[int]
    dtype: Dtype
    data: str

    @staticmethod
    def of(array: np.ndarray) -> TensorData:
        """Encode `array` (any shape; dtype one of `Dtype`)."""
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        return TensorData.model_validate(
            {
                "shape": list(array.shape),
                "dtype": str(array.dtype),
                "data": base64.b64encode(little.tobytes()).decode("ascii"),
            }
        )

    def array(self) -> np.ndarray:
        """Decode; raise `UnreadableArtifact` when the byte count does not fit the shape."""
        try:
            raw = base64.b64decode(self.data, validate=True)
        except ValueError as error:
            raise UnreadableArtifact(
                f"A golden tensor is not base64 ({error}): the file is damaged, export it again."
            ) from error
        dtype = np.dtype(self.dtype).newbyteorder("<")
        # Python's integers: a huge shape must not wrap around to a small product.
        if min(self.shape, default=0) < 0 or len(raw) != dtype.itemsize * math.prod(self.shape):
            raise UnreadableArtifact(
                f"A golden tensor says shape {self.shape} of {self.dtype} but holds {len(raw)} "
                "bytes: the file is damaged, export it again."
            )
        return np.frombuffer(raw, dtype).reshape(self.shape).astype(np.dtype(self.dtype))


class GoldenCase(Frozen):
    """One input with the outputs the Python model gave for it."""

    name: str
    inputs: list[TensorData]
    expected: list[TensorData]


class Golden(Frozen):
    """`extra/golden.json`: the apps replay it at first start."""

    schema_version: str = SCHEMA_VERSION
    tolerance: ToleranceSpec
    cases: list[GoldenCase] = Field(min_length=1)


def _check_schema(text: bytes, where: str) -> None:
    try:
        version = str(json.loads(text)["schema_version"])
        major = int(version.split(".")[0])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnreadableArtifact(
            f"{where} is not the JSON this tool writes ({type(error).__name__}): the file is "
            "damaged or was not made by `python -m exporter`. Export the model again."
        ) from error
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
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UnreadableArtifact(
            f"{where} is not valid: field `{field}`: {first['msg']}. "
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
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, model in (("metadata", Metadata), ("golden", Golden)):
        path = folder / f"{name}.schema.json"
        schema = json.dumps(model.model_json_schema(), indent=2, sort_keys=True) + "\n"
        path.write_text(schema, encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    for schema_path in write_schemas(Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden")):
        sys.stdout.write(f"{schema_path}\n")
