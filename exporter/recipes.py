"""Name the ways to quantize: a recipe is a frozen dataclass that prints itself.

This is the only description of a quantization. The command line and Python both come to it by
`recipes_named`, with the options that were given; a recipe refuses those it has no use for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from runtime_check.values import require_seed, require_types

from .errors import RecipeError, did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Unpack

QuantizeMethod = Literal["none", "dynamic", "static", "qat"]
Mode = Literal["auto", "fx", "eager"]
Scheme = Literal["xnnpack", "qnnpack"]
Observer = Literal["auto", "minmax", "moving_average", "histogram"]
Granularity = Literal["per_tensor", "per_channel"]
WeightRounding = Literal["auto", "compensated", "nearest"]
ActivationRanges = Literal["fixed", "learned"]

AUTO = "auto"

_CHOICES: dict[str, tuple[str, ...]] = {
    "method": get_args(QuantizeMethod),
    "mode": get_args(Mode),
    "scheme": get_args(Scheme),
    "observer": get_args(Observer),
    "granularity": get_args(Granularity),
    "rounding": get_args(WeightRounding),
    "ranges": get_args(ActivationRanges),
}

# The methods that an option says something to. A seed is never refused: random weights have one.
_INT8: tuple[QuantizeMethod, ...] = ("dynamic", "static", "qat")
CALIBRATED: tuple[QuantizeMethod, ...] = ("static", "qat")
QAT: tuple[QuantizeMethod, ...] = ("qat",)
_MEANT_FOR: dict[str, tuple[QuantizeMethod, ...]] = {
    "mode": _INT8,
    "scheme": CALIBRATED,
    "observer": CALIBRATED,
    "granularity": _INT8,
    "rounding": ("static",),
    "float_layers": _INT8,
    "equalize": CALIBRATED,
    "cheap_activations": CALIBRATED,
    "epochs": QAT,
    "learning_rate": QAT,
    "ranges": QAT,
    "seed": get_args(QuantizeMethod),
}
_OPTION_NAMES = {"cheap_activations": "--disable cheap-activations"}


class RecipeOptions(TypedDict, total=False):
    """The fields of a recipe that a user can give; None is not given."""

    mode: Mode | None
    scheme: Scheme | None
    observer: Observer | None
    granularity: Granularity | None
    rounding: WeightRounding | None
    float_layers: tuple[str, ...] | None
    equalize: bool | None
    cheap_activations: bool | None
    epochs: int | None
    learning_rate: float | None
    ranges: ActivationRanges | None
    seed: int | None


@dataclass(frozen=True, kw_only=True)
class QuantizeRecipe:
    """Say how a module becomes int8. `str(recipe)` is stored in an artifact's metadata.

    `float_layers` are layer names or shell patterns (`blocks.0.*`) that stay float. `equalize`
    rescales neighboring layers before int8 (exact in float). `mode` `auto` is FX where the model
    can be traced and eager where not. `scheme` names the kernels on the
    phone: `xnnpack` is qint8 activations on XNNPACK's qs8 kernels, `qnnpack` is quint8
    activations on QNNPACK's. `observer` `auto` tries min/max, histogram and a mixture, and keeps
    what leaves the least noise in the output on the calibration images. `granularity` is that of
    weight scales. `rounding` (static only) `compensated` rounds the weights of
    convolutions for least error in their outputs, `nearest` for least error in the weights; `auto`
    keeps what leaves less noise in the network's output on the calibration images.
    `cheap_activations` takes polynomials for GELU and softmax next to int8 (scheme xnnpack),
    where their error is below a step. `ranges` of activations are fixed by calibration, or learned
    with the weights (qat only).

    Raises RecipeError for a value that does not exist, and for a field that says nothing to the
    method (`epochs` of a dynamic recipe).
    """

    method: QuantizeMethod = "static"
    mode: Mode = "auto"
    scheme: Scheme = "xnnpack"
    observer: Observer = "auto"
    granularity: Granularity = "per_channel"
    rounding: WeightRounding = "auto"
    float_layers: tuple[str, ...] = ()
    equalize: bool = True
    cheap_activations: bool = True
    epochs: int = 3
    learning_rate: float = 2e-5
    seed: int = 0
    ranges: ActivationRanges = "fixed"

    def __post_init__(self) -> None:
        require_types(self, RecipeError)
        for field, choices in _CHOICES.items():
            value = getattr(self, field)
            if value not in choices:
                raise RecipeError(
                    f"{field}={value!r} is not known. Choose one of: {', '.join(choices)}."
                )
        if self.method == "dynamic" and self.scheme == "xnnpack":
            raise RecipeError(
                "Dynamic quantization has no XNNPACK kernels in this runtime: its linear runs on "
                "QNNPACK. Use scheme 'qnnpack', or method 'static' for XNNPACK's speed."
            )
        if self.epochs < 1 or not 0 < self.learning_rate < 1e3:
            raise RecipeError(
                f"epochs is at least 1, and learning_rate is above 0 and below 1000, not "
                f"{self.epochs} and {self.learning_rate:g}."
            )
        require_seed(self.seed, RecipeError)
        given = dict.fromkeys(self._overrides())
        if self.method == "none":  # those that a name says of the others
            defaults = {field.name: field.default for field in fields(self)}
            named = [f for f in ("mode", "scheme") if getattr(self, f) != defaults[f]]
            given.update(dict.fromkeys(named))
        _require_meaning(given, (self.method,), self.method)

    @classmethod
    def named(cls, name: str, **given: Unpack[RecipeOptions]) -> QuantizeRecipe:
        """Return the recipe called `name`, or the method's own, with the options given.

        Raises RecipeError for an unknown name, with the nearest ones, and for an option that the
        recipe has no use for, by the option's name.
        """
        if name == AUTO:
            raise RecipeError(
                "auto is not one recipe: it tries several and keeps the one with the least work "
                "within a budget. "
                'Export with quantize="auto" for it.'
            )
        base = RECIPES.get(name) or _METHODS.get(name)
        if base is None:
            known = [AUTO, *_METHODS, *RECIPES]
            raise RecipeError(
                f"There is no recipe {name!r}.{did_you_mean(name, known)} "
                f"Known: {', '.join(dict.fromkeys(known))}."
            )
        options = _without_none(given)
        _require_meaning(options, (base.method,), name)
        return replace(base, **options)

    @property
    def name(self) -> str:
        """The name in the table of recipes, without what was changed about it.

        Mode `auto` goes by the name of FX, which it is where the model can be traced.
        """
        scheme = f"-{self.scheme}" if self.method in CALIBRATED else ""
        mode = "" if self.method == "none" or self.mode == "eager" else "-fx"
        return f"{self.method}{scheme}{mode}"

    @property
    def label(self) -> str:
        """The name with what was changed about it: `static-xnnpack (observer minmax)`."""
        changed = ", ".join(f"{field} {value}" for field, value in self._overrides().items())
        return f"{self.name} ({changed})" if changed else self.name

    def _overrides(self) -> dict[str, str]:
        """Say which fields differ from their defaults, but those that the name says."""
        overrides = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("method", "mode", "scheme") or value == field.default:
                continue
            overrides[field.name] = "+".join(value) if isinstance(value, tuple) else str(value)
        return overrides

    @property
    def needs_calibration(self) -> bool:
        """Whether the ranges of activations come from images."""
        return self.method in CALIBRATED

    @property
    def takes_cheap_activations(self) -> bool:
        """Whether GELU and softmax may become polynomials, unless that is disabled."""
        return self.needs_calibration and self.scheme == "xnnpack"

    def describe(self) -> dict[str, str]:
        """Return one row of the table of recipes: what becomes int8, and when."""
        weight = f"int8, symmetric, {self.granularity.replace('_', ' ')}"
        ranges = "fixed by calibration before training"
        if self.ranges == "learned":
            ranges = "found by calibration and learned on"
        number = "qint8" if self.scheme == "xnnpack" else "quint8"
        rows = {
            "none": ("float32", "float32", "-", "-"),
            "dynamic": (
                "Linear",
                f"{weight}, at export",
                "quint8, per tensor, range taken from each input while it runs",
                "nothing",
            ),
            "static": (
                "Conv2d, Linear (+ BatchNorm, ReLU, ReLU6)",
                f"{weight}, at export",
                f"{number}, per tensor, range fixed by calibration ({self.observer})",
                "images",
            ),
            "qat": (
                "Conv2d, Linear (+ BatchNorm, ReLU, ReLU6)",
                f"{weight}, learned with int8 simulated",
                f"{number}, per tensor, range {ranges}",
                "images to train on, with labels or without (distillation)",
            ),
        }
        layers, weights, activations, needs = rows[self.method]
        return {
            "recipe": self.name,
            "layers": layers if self.method != "none" else "-",
            "weights": weights,
            "activations": activations,
            "needs": needs,
            "kernels": "float" if self.method == "none" else self.scheme.upper(),
            "mode": "-" if self.method == "none" else self.mode,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "float_layers": list(self.float_layers)}

    def __str__(self) -> str:
        row = self.describe()
        if self.method == "none":
            return f"{self.name}: float32, nothing quantized"
        kept = f"; float: {', '.join(self.float_layers)}" if self.float_layers else ""
        return (
            f"{self.name}: {row['layers']}; weights {row['weights']}; "
            f"activations {row['activations']}; {self.mode} mode on {row['kernels']}{kept}"
        )


def _without_none(given: RecipeOptions) -> dict[str, Any]:
    return {option: value for option, value in given.items() if value is not None}


def _require_meaning(
    options: dict[str, Any], methods: tuple[QuantizeMethod, ...], asked: str
) -> None:
    """Raise RecipeError for the first option that says nothing to any of `methods`."""
    for option in options:
        if option not in _MEANT_FOR:
            near = did_you_mean(option, _MEANT_FOR)
            raise RecipeError(
                f"A recipe has no option {option!r}.{near} It has: {', '.join(_MEANT_FOR)}."
            )
        if not set(_MEANT_FOR[option]) & set(methods):
            shown = _OPTION_NAMES.get(option, f"--{option.replace('_', '-')}")
            raise no_meaning(shown, asked, _MEANT_FOR[option])


def no_meaning(option: str, asked: str, meant_for: Sequence[str]) -> RecipeError:
    """Return the error for an `option` of the command line that says nothing to `asked`."""
    also = ""
    if asked == AUTO and meant_for == QAT:
        also = ", which auto tries where --train gives images"
    return RecipeError(
        f"`{option}` has no meaning for `{asked}`. It is for: {', '.join(meant_for)}{also}."
    )


# What a method's name alone stands for.
_METHODS: dict[str, QuantizeRecipe] = {
    "none": QuantizeRecipe(method="none"),
    "dynamic": QuantizeRecipe(method="dynamic", scheme="qnnpack"),
    "static": QuantizeRecipe(method="static"),
    "qat": QuantizeRecipe(method="qat"),
}


def _all_recipes() -> dict[str, QuantizeRecipe]:
    recipes = [_METHODS["none"]]
    modes: tuple[Mode, ...] = ("eager", "fx")
    schemes: tuple[Scheme, ...] = ("xnnpack", "qnnpack")
    for mode in modes:
        recipes.append(replace(_METHODS["dynamic"], mode=mode))
        recipes += [
            QuantizeRecipe(method=method, scheme=scheme, mode=mode)
            for method in CALIBRATED
            for scheme in schemes
        ]
    return {recipe.name: recipe for recipe in recipes}


RECIPES: dict[str, QuantizeRecipe] = _all_recipes()


def recipes_named(
    name: str, *, training: bool = False, **given: Unpack[RecipeOptions]
) -> QuantizeRecipe | tuple[QuantizeRecipe, ...]:
    """Return the recipe called `name`, or for `auto` its candidates, with the options given.

    `training` says whether there are images to train on, without which QAT is not a candidate.
    An option goes to the candidates that it says something to. Raises RecipeError as
    `QuantizeRecipe.named` does.
    """
    if name != AUTO:
        return QuantizeRecipe.named(name, **given)
    candidates = [
        QuantizeRecipe(method="static", scheme="xnnpack"),
        QuantizeRecipe(method="static", scheme="qnnpack"),
        _METHODS["dynamic"],
        *([QuantizeRecipe(method="qat")] if training else []),
    ]
    options = _without_none(given)
    _require_meaning(options, tuple(recipe.method for recipe in candidates), AUTO)
    changed = [
        replace(recipe, **{o: v for o, v in options.items() if recipe.method in _MEANT_FOR[o]})
        for recipe in candidates
    ]
    return tuple(dict.fromkeys(changed))  # with a scheme given, two of them are one
