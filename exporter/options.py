"""What the user asks for, as one value; free of torch, so that the command line is quick."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from runtime_check.device.operators import DEFAULT_RUNTIME, resolve_runtime
from runtime_check.options import Format
from runtime_check.tasks import Task
from runtime_check.values import require_seed, require_types

from .checks import (
    require_colors,
    require_crop,
    require_name,
    require_shape,
    require_words,
)
from .errors import QuantizeError, RecipeError, UsageError
from .recipes import AUTO, CALIBRATED, QAT, RECIPES, QuantizeRecipe, no_meaning, recipes_named
from .training import TrainingOptions

# Its real weights come with a package.
DEFAULT_MODEL = "tf_efficientnet_lite0"

NOISE = "noise"
# Images that calibrate where the user does not say how many.
CALIBRATION_IMAGES = 256
NO_TRAINING_IMAGES = (
    "This recipe trains: give images (--train DIR), in class folders for training with labels, or "
    "plain for distillation from the float model."
)

InputKind = Literal["auto", "image", "tensor"]
Activation = Literal["auto", "softmax", "sigmoid", "none"]
# How outputs are given: as the module gives them, as a class for each of the photo's pixels, or
# scaled to length 1.
Representation = Literal["auto", "scores", "class_map", "normalized"]
CaptureMethod = Literal["auto", "script", "trace", "mixed"]
Interpolation = Literal["bicubic", "bilinear"]
CropMode = Literal["center", "squash", "border"]


@dataclass(frozen=True, kw_only=True)
class NamedShape:
    """The shape of one of several inputs, by the name of forward's parameter."""

    name: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        require_types(self, UsageError)
        require_shape(self.shape)


@dataclass(frozen=True, kw_only=True)
class PreprocessingChoice:
    """What the user says about preprocessing, in timm's terms; None takes what the model says."""

    interpolation: Interpolation | None = None
    crop_pct: float | None = None
    crop_mode: CropMode | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        require_types(self, UsageError)
        require_words(self)
        require_crop(self.crop_pct)
        require_colors(self.mean, self.std)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What an int8 model may cost; unset fields demand nothing.

    `max_accuracy_drop` is in points and needs labels; `min_agreement` is a share by the task's
    metric: of images whose first class agrees, of pixels or boxes, or the smallest cosine.
    `min_sqnr_db` is in dB, of the outputs that the task is about: what tasks without such a share
    (depth, regression, pictures, keypoints) are judged by.
    """

    max_accuracy_drop: float | None = None
    min_agreement: float | None = None
    min_sqnr_db: float | None = None

    def __post_init__(self) -> None:
        require_types(self, QuantizeError)
        if self.min_agreement is not None and not 0.0 <= self.min_agreement <= 1.0:
            raise QuantizeError(
                f"min_agreement is a share from 0 to 1, not {self.min_agreement:g}."
            )
        if self.max_accuracy_drop is not None and not math.isfinite(self.max_accuracy_drop):
            raise QuantizeError(
                f"max_accuracy_drop is a number of points, not {self.max_accuracy_drop:g}."
            )
        if self.min_sqnr_db is not None and not math.isfinite(self.min_sqnr_db):
            raise QuantizeError(f"min_sqnr_db is a number of dB, not {self.min_sqnr_db:g}.")

    def __str__(self) -> str:
        parts = []
        if self.max_accuracy_drop is not None:
            parts.append(f"accuracy drop <= {self.max_accuracy_drop:g} points")
        if self.min_agreement is not None:
            parts.append(f"agreement >= {self.min_agreement:.1%}")
        if self.min_sqnr_db is not None:
            parts.append(f"SQNR >= {self.min_sqnr_db:.1f} dB")
        return ", ".join(parts) or "no budget"


# Agreement asked for when the user states no budget: what a person would call "the same".
DEFAULT_BUDGET = Budget(min_agreement=0.95)
# The same where outputs are values, which agree by no share: off by a tenth, as a root mean square.
VALUES_BUDGET = Budget(min_sqnr_db=20.0)


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions:
    """How a network becomes int8 and on which images; checked when made.

    `recipe` is one recipe, or the candidates, of which the one with the least work within
    `budget` is taken.
    `calibration` and `evaluate` are folders of images (class folders give accuracy); the first may
    hold network inputs as .npy or .npz files, or be one. `calibration="noise"` asks for noise by
    name. `train` is for QAT: class folders named like the labels, or plain images to distill on;
    `checkpoint` is resumed where it exists. `training` says on which device, and how QAT trains.

    Raises RecipeError for an option that the recipe has no use for, UsageError for one it lacks.
    """

    recipe: QuantizeRecipe | tuple[QuantizeRecipe, ...] = RECIPES["none"]
    calibration: Path | Literal["noise"] | None = None
    calibration_images: int | None = None
    evaluate: Path | None = None
    train: Path | None = None
    checkpoint: Path | None = None
    training: TrainingOptions = field(default_factory=TrainingOptions)
    budget: Budget | None = None

    def __post_init__(self) -> None:
        require_types(self, UsageError)
        if self.calibration_images is not None and self.calibration_images < 1:
            raise UsageError(
                f"--calibration-images is a number of images from 1 on, not "
                f"{self.calibration_images}."
            )
        asked = self.method
        if not self.recipes or (asked == AUTO and "none" in self.methods):
            raise RecipeError("Candidates are one or more int8 recipes; float32 is the reference.")
        calibrated = set(CALIBRATED) | ({AUTO} if self.evaluate is None else set())
        self._require_meaning(asked, calibrated)
        if self.calibration is None and (self.methods | {asked}) & calibrated:
            raise UsageError(
                "Static quantization takes its ranges from images: give `--calibration DIR` with "
                "50 to 500 typical ones. For sizes and speed only, `--calibration noise`."
            )
        if self.train is None and "qat" in self.methods:
            raise UsageError(NO_TRAINING_IMAGES)

    def _require_meaning(self, asked: str, calibrated: Collection[str]) -> None:
        options: dict[str, tuple[object, Sequence[str]]] = {
            "--calibration": (self.calibration, (*CALIBRATED, AUTO)),
            "--calibration-images": (self.calibration_images, (*CALIBRATED, AUTO)),
            "--train": (self.train, QAT),
            "--checkpoint": (self.checkpoint, QAT),
            **{option: (value, QAT) for option, value in self.training.given().items()},
        }
        if self.training.accelerator != "cpu":
            options["--accelerator"] = (self.training.accelerator, (*CALIBRATED, AUTO))
        if self.budget == Budget() and asked != AUTO:
            raise no_meaning("budget", asked, (AUTO,))
        if self.budget is not None:
            for field, value in asdict(self.budget).items():
                name = field.removesuffix("_db").replace("_", "-")
                options[f"--{name}"] = (value, (AUTO,))
        for option, (value, meant_for) in options.items():
            if value is not None and not (self.methods | {asked}) & set(meant_for):
                raise no_meaning(option, asked, meant_for)
        if self.calibration == NOISE and self.calibration_images is not None:
            raise no_meaning("--calibration-images", "--calibration noise", ("a folder of images",))

    @property
    def method(self) -> str:
        """The recipe's method, or "auto" for candidates."""
        return AUTO if isinstance(self.recipe, tuple) else self.recipe.method

    @property
    def recipes(self) -> tuple[QuantizeRecipe, ...]:
        """The recipe, or the candidates."""
        return self.recipe if isinstance(self.recipe, tuple) else (self.recipe,)

    @property
    def methods(self) -> frozenset[str]:
        """The methods of the recipes."""
        return frozenset(recipe.method for recipe in self.recipes)

    def with_exact_activations(self) -> QuantizeOptions:
        """Return the same without polynomials for GELU and softmax."""
        changed = tuple(
            replace(r, cheap_activations=False) if r.needs_calibration else r for r in self.recipes
        )
        return replace(self, recipe=changed if isinstance(self.recipe, tuple) else changed[0])


def resolve_recipes(
    quantize: str | QuantizeRecipe | Sequence[QuantizeRecipe] | None, *, training: bool, seed: int
) -> QuantizeRecipe | tuple[QuantizeRecipe, ...]:
    """Turn what Python's caller gave into a recipe or candidates; a name gets `seed`.

    Raises `UsageError` for anything else, and `RecipeError` for a name that there is not.
    """
    if quantize is None or isinstance(quantize, QuantizeRecipe):
        return quantize or RECIPES["none"]
    if isinstance(quantize, str):
        return recipes_named(quantize, training=training, seed=seed)
    if isinstance(quantize, Iterable) and all(isinstance(r, QuantizeRecipe) for r in quantize):
        return tuple(quantize)
    raise UsageError(
        f"quantize= takes a recipe, its name, {AUTO!r}, or several recipes, not {quantize!r:.80}."
    )


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Everything `export` can be asked for besides the model.

    `install` are folders of Android and iOS apps: each gets a copy where it loads models.
    `input="image"` makes `forward` take a uint8 photo `[H, W, C]` of any size and do timm's
    preprocessing itself; `"tensor"` gives the bare network; `"auto"` takes `image` where the model
    says how it wants images. `input_shapes` are those of several inputs, by the names of forward's
    parameters; `example` is an .npz file with an array for each, whose shapes, dtypes and ranges
    are taken. `task` is what the outputs are for, `unit` that of their values, `output` how they
    are given. `format` is the file's: "ptl" for torch's lite interpreter, "pte" for ExecuTorch.
    `disable` names passes to leave out. `targets` are the device runtimes the file must
    load on; `run_on` is one it is run on as well, as a row of the ledger. `quantize` is how the
    network becomes int8, if it does. `sign` is a secret key's file: the file is then signed, which
    `runtime_check` and the apps can demand.
    `verify=False` skips the comparison in a fresh process, and the metadata says so.
    Raises `UsageError` for values that do not go together and `UnknownRuntime` for targets.
    """

    out: Path = Path("build")
    format: Format = "ptl"
    install: tuple[Path, ...] = ()
    name: str | None = None
    weights: Path | None = None
    random_weights: bool = False
    labels: Path | tuple[str, ...] | None = None
    seed: int = 0
    input: InputKind = "auto"
    input_shape: tuple[int, ...] | None = None
    input_shapes: tuple[NamedShape, ...] = ()
    example: Path | None = None
    preprocessing: PreprocessingChoice = field(default_factory=PreprocessingChoice)
    task: Task | None = None
    activation: Activation = "auto"
    output: Representation = "auto"
    unit: str | None = None
    capture: CaptureMethod = "auto"
    allow_specialization: bool = False
    disable: tuple[str, ...] = ()
    targets: tuple[str, ...] | None = None
    verify: bool = True
    run_on: str | None = None
    sign: Path | None = None
    quantize: QuantizeOptions = field(default_factory=QuantizeOptions)

    def __post_init__(self) -> None:
        require_types(self, UsageError)
        require_words(self)
        require_name(self.name)
        require_seed(self.seed, UsageError)
        require_shape(self.input_shape)
        self._require_one_way_of_inputs()
        self._resolve_targets()
        if self.allow_specialization and self.capture == "script":
            raise UsageError(
                "`--allow-specialization` has no meaning for `--capture script`: it lets a trace "
                "freeze branches, and scripts keep them."
            )
        if self.unit is not None and not 0 < len(self.unit) <= 100:
            raise UsageError("--unit is a word such as `years` or `m`.")
        without = "cheap-activations" in self.disable
        if without and not any(r.takes_cheap_activations for r in self.quantize.recipes):
            raise no_meaning(
                "--disable cheap-activations",
                self.quantize.method,
                ("static-xnnpack", "qat-xnnpack", AUTO),
            )
        if without or self.format == "pte":  # where they are not worth it
            object.__setattr__(self, "quantize", self.quantize.with_exact_activations())

    @property
    def demanded(self) -> tuple[str, ...]:
        """The device runtimes whose operators the file may call; none for a .pte."""
        return self.targets or ()

    def _resolve_targets(self) -> None:
        """Take the default targets, or the full names of those given; refuse them for a .pte."""
        if self.targets is not None and not self.targets:
            raise UsageError("A file has to load on some target: name at least one.")
        only_ptl = {
            "--target": self.targets is not None,
            "--capture": self.capture != "auto",
            "--allow-specialization": self.allow_specialization,
        }
        for option, is_given in only_ptl.items():
            if is_given and self.format == "pte":
                raise no_meaning(option, "--format pte", ("--format ptl",))
        given = (DEFAULT_RUNTIME,) if self.targets is None else self.targets
        targets = tuple(resolve_runtime(target) for target in given)
        object.__setattr__(self, "targets", () if self.format == "pte" else targets)

    def _require_one_way_of_inputs(self) -> None:
        """Refuse two ways of saying what the inputs are, and a photo among several."""
        names = [each.name for each in self.input_shapes]
        if len(set(names)) != len(names):
            raise UsageError("--input-shape gives one input's shape twice.")
        several = bool(self.input_shapes or self.example)
        if self.input_shape is not None and several:
            other = "--example" if self.example is not None else "--input-shape NAME=..."
            raise UsageError(f"--input-shape without a name and {other} cannot be combined.")
        if self.input_shapes and self.example is not None:
            raise UsageError("--input-shape and --example both say the inputs' shapes: give one.")
        if several and self.input == "image":
            raise UsageError(
                "An image artifact takes one photo and nothing else: leave out `--input image`, "
                "and the file takes the named inputs as tensors."
            )
