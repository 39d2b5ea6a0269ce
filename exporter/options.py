"""What the user asks for, as one value; free of torch, so that the command line is quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from runtime_check.device.operators import DEFAULT_RUNTIME, resolve_runtime

from .errors import UsageError
from .quantize.options import QuantizeOptions

# Its real weights come with a package.
DEFAULT_MODEL = "tf_efficientnet_lite0"

InputKind = Literal["auto", "image", "tensor"]
Activation = Literal["auto", "softmax", "sigmoid", "none"]
CaptureMethod = Literal["auto", "script", "trace", "mixed"]
Interpolation = Literal["bicubic", "bilinear"]
CropMode = Literal["center", "squash", "border"]


@dataclass(frozen=True, kw_only=True)
class PreprocessingChoice:
    """What the user says about preprocessing, in timm's terms; None takes what the model says."""

    interpolation: Interpolation | None = None
    crop_pct: float | None = None
    crop_mode: CropMode | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Everything `export` can be asked for besides the model.

    `input="image"` makes `forward` take uint8 RGB `[H, W, 3]` of any size and do timm's
    preprocessing itself; `"tensor"` gives the bare network; `"auto"` takes `image` where the model
    says how it wants images. `disable` names passes to leave out. `targets` are the device
    runtimes the file must load on; `run_on` is one it is run on as well, as a row of the ledger.
    `quantize` is how the network becomes int8, if it does.
    `verify=False` skips the comparison in a fresh process, and the metadata says so.
    Raises `UsageError` for values that do not go together and `UnknownRuntime` for targets.
    """

    out: Path = Path("build")
    name: str | None = None
    weights: Path | None = None
    random_weights: bool = False
    labels: Path | tuple[str, ...] | None = None
    seed: int = 0
    input: InputKind = "auto"
    input_shape: tuple[int, ...] | None = None
    preprocessing: PreprocessingChoice = field(default_factory=PreprocessingChoice)
    activation: Activation = "auto"
    capture: CaptureMethod = "auto"
    allow_specialization: bool = False
    disable: tuple[str, ...] = ()
    targets: tuple[str, ...] = (DEFAULT_RUNTIME,)
    verify: bool = True
    run_on: str | None = None
    quantize: QuantizeOptions = field(default_factory=QuantizeOptions)

    def __post_init__(self) -> None:
        if self.input_shape is not None and any(size < 1 for size in self.input_shape):
            raise UsageError(f"--input-shape takes positive sizes, not {list(self.input_shape)}.")
        if "cheap-activations" in self.disable:
            object.__setattr__(self, "quantize", self.quantize.with_exact_activations())
        object.__setattr__(self, "targets", tuple(resolve_runtime(t) for t in self.targets))
