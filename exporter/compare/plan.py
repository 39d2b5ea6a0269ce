"""What is compared: a frozen plan, written on the command line or read from a TOML file."""

from __future__ import annotations

import itertools
import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from runtime_check.options import Format
from runtime_check.reference.hub import is_hub_id
from runtime_check.values import require_seed, require_types

from ..checks import require_name
from ..errors import UsageError, did_you_mean
from ..options import NOISE, ExportOptions, InputKind, QuantizeOptions, resolve_recipes
from ..recipes import AUTO, CALIBRATED, recipes_named

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Rounds of timing unless the plan says otherwise: the median of so many counts.
ROUNDS = 10


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a file may cost: MB, milliseconds on this computer, millions of ARM64 instructions."""

    mb: float | None = None
    ms: float | None = None
    minstr: float | None = None

    def __post_init__(self) -> None:
        require_types(self, UsageError)
        for name, value in self.items():
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"--budget {name}= takes a number above 0, not {value:g}.")

    @classmethod
    def parse(cls, text: str) -> Limits:
        """Read `mb=10,ms=20,minstr=200`; raise `UsageError` for anything else."""
        limits: dict[str, float] = {}
        for part in text.split(","):
            name, _, value = part.strip().partition("=")
            _require_known(name, cls, "--budget", "--budget takes mb=, ms= and minstr=")
            try:
                limits[name] = float(value)
            except ValueError as error:
                raise UsageError(f"--budget {name}= takes a number, not {value!r:.40}.") from error
        return cls(**limits)

    def items(self) -> list[tuple[str, float]]:
        """List the limits that were given, by name."""
        return [(name, value) for name, value in vars(self).items() if value is not None]

    def __bool__(self) -> bool:
        return bool(self.items())

    def __str__(self) -> str:
        return ", ".join(f"{name} <= {value:g}" for name, value in self.items()) or "no budget"


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """One model as `export` takes it; `name` begins its files' names."""

    model: str
    name: str = ""
    weights: Path | None = None
    labels: Path | None = None
    random_weights: bool = False

    def __post_init__(self) -> None:
        require_types(self, UsageError)
        if not self.model:
            raise UsageError(
                "A model has a name: a timm name, a hub id, or package.module:factory."
            )
        object.__setattr__(self, "name", self.name or _short(self.model))
        require_name(self.name, f"The name of {self.model},")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One export: everything that decides its result, but the content of files and the code."""

    choice: ModelChoice
    recipe: str
    input_size: int | None
    format: Format
    calibration: Path | Literal["noise"] | None
    calibration_images: int | None
    evaluate: Path | None
    seed: int
    input: InputKind = "auto"

    @property
    def name(self) -> str:
        """The name of its file: model, recipe unless float32, and input size where it was said."""
        parts = [self.choice.name, "" if self.recipe == "none" else self.recipe]
        return "-".join(
            [*filter(None, parts), *([str(self.input_size)] if self.input_size else [])]
        )

    def absolute(self) -> Trial:
        """Return the same with absolute paths."""

        def full(path: Path | None) -> Path | None:
            return None if path is None else path.absolute()

        weights, labels = full(self.choice.weights), full(self.choice.labels)
        photos = self.calibration
        return replace(
            self,
            choice=replace(self.choice, weights=weights, labels=labels),
            calibration=photos.absolute() if isinstance(photos, Path) else photos,
            evaluate=full(self.evaluate),
        )

    @property
    def calibrates(self) -> bool:
        """Whether ranges come from images."""
        recipe = recipes_named(self.recipe, seed=self.seed)
        return isinstance(recipe, tuple) or recipe.method in CALIBRATED

    def options(self, out: Path) -> ExportOptions:
        """Return what `export` is asked for. Raises `ExportError` for what does not go together.

        Only `auto` judges on images while it exports; `judge` does it for all afterwards.
        """
        size = self.input_size
        return ExportOptions(
            out=out,
            format=self.format,
            name=self.name,
            weights=self.choice.weights,
            random_weights=self.choice.random_weights,
            labels=self.choice.labels,
            seed=self.seed,
            input=self.input,
            input_shape=None if size is None else (1, 3, size, size),
            quantize=QuantizeOptions(
                recipe=resolve_recipes(self.recipe, training=False, seed=self.seed),
                calibration=self.calibration if self.calibrates else None,
                calibration_images=self.calibration_images if self.calibrates else None,
                evaluate=self.evaluate if self.recipe == AUTO else None,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class ComparePlan:
    """Every model with every recipe, input size and format.

    No input sizes means each model's own. `calibration` is a folder of typical images (or
    `"noise"`), `evaluate` one that all files are judged on: class folders give accuracy, plain
    images agreement with float32. `input` is what files take, as `export` has it: `tensor` leaves
    preprocessing out. `rounds` is how often each file is timed.

    Raises `UsageError` for what does not go together, `RecipeError` for recipes that do not exist.
    """

    models: tuple[ModelChoice, ...]
    recipes: tuple[str, ...] = ("none",)
    input_sizes: tuple[int, ...] = ()
    formats: tuple[Format, ...] = ("ptl",)
    calibration: Path | Literal["noise"] | None = None
    calibration_images: int | None = None
    evaluate: Path | None = None
    seed: int = 0
    input: InputKind = "auto"
    rounds: int = ROUNDS
    budget: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        require_types(self, UsageError)
        require_seed(self.seed, UsageError)
        if not self.models:
            raise UsageError("Name at least one model to compare, or a plan file (plan.toml).")
        if not self.recipes or not self.formats:
            raise UsageError("A comparison has at least one recipe and one format.")
        for word in self.formats:
            if word not in get_args(Format):
                raise UsageError(f"--format takes ptl, pte or ptl,pte, not {word!r}.")
        if self.input not in get_args(InputKind):
            raise UsageError(f"--input takes auto, image or tensor, not {self.input!r}.")
        if self.rounds < 1:
            raise UsageError(f"rounds is a number from 1 on, not {self.rounds}.")
        if any(recipe.startswith("qat") for recipe in self.recipes):
            raise UsageError(
                "compare does not train: export with `--quantize qat --train DIR` instead, and "
                "compare the recipes that only calibrate."
            )
        self._require_names_apart()

    def _require_names_apart(self) -> None:
        seen: set[tuple[str, str]] = set()
        for trial in self.trials():
            trial.options(Path())  # raises for what export would refuse
            if (trial.name, trial.format) in seen:
                raise UsageError(
                    f"Two files would be called {trial.name}.{trial.format}. Name each model, "
                    "recipe and size once; in a plan file models can have a `name`."
                )
            seen.add((trial.name, trial.format))

    def trials(self) -> list[Trial]:
        """Return all trials, model by model."""
        sizes: tuple[int | None, ...] = self.input_sizes or (None,)
        every = itertools.product(self.models, sizes, self.recipes, self.formats)
        return [
            Trial(
                choice=choice,
                recipe=recipe,
                input_size=size,
                format=format,
                calibration=self.calibration,
                calibration_images=self.calibration_images,
                evaluate=self.evaluate,
                seed=self.seed,
                input=self.input,
            )
            for choice, size, recipe, format in every
        ]


def read_plan(path: Path) -> ComparePlan:
    """Read a plan file; paths in it are relative to its folder.

    Raises `UsageError` for what is not TOML, and for keys and values that mean nothing.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}.") from error
    return plan_of(found, folder=path.parent, said=str(path))


def plan_of(found: Mapping[str, Any], *, folder: Path, said: str = "the plan") -> ComparePlan:
    """Make a plan of what a TOML file holds; `said` is what messages call it."""
    values = dict(found)
    untrained = values.pop("random_weights", False)
    for key in values:
        _require_known(key, ComparePlan, said, f"{said} has models, recipes, input_sizes and so on")
    models = values.get("models", [])
    if not isinstance(models, list):
        raise UsageError(f"{said}: models is a list of names, or tables [[models]].")
    values["models"] = tuple(_model(each, folder, untrained, said) for each in models)
    budget = values.get("budget", {})
    if not isinstance(budget, Mapping):
        raise UsageError(f"{said}: [budget] is a table of mb, ms and minstr.")
    for key in budget:
        _require_known(key, Limits, f"{said}: [budget]", "it has mb, ms and minstr")
    values["budget"] = Limits(**budget)
    for key in ("calibration", "evaluate"):
        if isinstance(values.get(key), str) and values[key] != NOISE:
            values[key] = folder / values[key]
    return ComparePlan(**values)


def _model(found: Any, folder: Path, untrained: bool, said: str) -> ModelChoice:
    if isinstance(found, str):
        return ModelChoice(model=found, random_weights=untrained)
    if not isinstance(found, Mapping):
        raise UsageError(f"{said}: a model is a name or a table, not {found!r:.60}.")
    for key in found:
        _require_known(key, ModelChoice, f"{said}: [[models]]", "it has model, weights and so on")
    values = {"random_weights": untrained, "model": "", **found}
    for key in ("weights", "labels"):
        if isinstance(values.get(key), str):
            values[key] = folder / values[key]
    return ModelChoice(**values)


def _require_known(key: str, kind: type[Any], where: str, else_said: str) -> None:
    known = [each.name for each in fields(kind)]
    if key not in known:
        hint = did_you_mean(key, known, most=1)
        raise UsageError(f"{where}: there is no {key!r}; {else_said}.{hint}")


def _short(model: str) -> str:
    """Return what files of a model are called, as `export` calls them."""
    last = model.split("/")[-1] if is_hub_id(model) else model
    if ":" in last:
        return last.rsplit(":", 1)[1].replace(".", "_")
    return re.sub(r"@.*$", "", last) if is_hub_id(model) else last.split(".")[0]


def as_values(plan: ComparePlan) -> dict[str, Any]:
    """Return a plan as plain JSON values, for `compare.json`."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(inner) for key, inner in _said(value)}
        if isinstance(value, (tuple, list)):
            return [plain(inner) for inner in value]
        return value.as_posix() if isinstance(value, Path) else value

    values: dict[str, Any] = plain(asdict(plan))
    return values


def _said(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in values.items() if value is not None)
