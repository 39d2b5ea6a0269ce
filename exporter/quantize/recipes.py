"""Name the ways to quantise: a recipe is a frozen dataclass that prints itself."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ..errors import RecipeError

Method = Literal["none", "dynamic", "static", "qat"]
Mode = Literal["eager", "fx", "auto"]
Scheme = Literal["xnnpack", "qnnpack"]
Observer = Literal["auto", "minmax", "moving_average", "histogram"]
Granularity = Literal["per_tensor", "per_channel"]
Rounding = Literal["auto", "compensated", "nearest"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "method": ("none", "dynamic", "static", "qat"),
    "mode": ("eager", "fx", "auto"),
    "scheme": ("xnnpack", "qnnpack"),
    "observer": ("auto", "minmax", "moving_average", "histogram"),
    "weights": ("per_tensor", "per_channel"),
    "rounding": ("auto", "compensated", "nearest"),
}


@dataclass(frozen=True, kw_only=True)
class QuantizeRecipe:
    """Say how a module becomes int8. Stored in an artifact's metadata as it is.

    `float_layers` are layer names or shell patterns (`blocks.0.*`) that stay float. `equalize`
    rescales neighbouring layers before int8 (exact in float). `mode` `auto` is FX where the model
    can be traced and eager where not. `scheme` names the kernels on the
    phone: `xnnpack` is qint8 activations on XNNPACK's qs8 kernels, `qnnpack` is quint8
    activations on QNNPACK's. `observer` `auto` tries min/max, histogram and a mixture, and keeps
    what leaves the least noise in the output on the calibration images. `weights` is the
    granularity of weight scales. `rounding` (static only) `compensated` rounds the weights of
    convolutions for least error in their outputs, `nearest` for least error in the weights; `auto`
    keeps what leaves less noise in the network's output on the calibration images.
    `cheap_activations` takes polynomials for GELU and softmax next to int8 (scheme xnnpack),
    where their error is below a step.
    """

    name: str
    method: Method = "static"
    mode: Mode = "eager"
    scheme: Scheme = "xnnpack"
    observer: Observer = "auto"
    weights: Granularity = "per_channel"
    rounding: Rounding = "auto"
    float_layers: tuple[str, ...] = ()
    equalize: bool = True
    cheap_activations: bool = True
    epochs: int = 3
    learning_rate: float = 2e-5
    seed: int = 0

    def __post_init__(self) -> None:
        for field, choices in _CHOICES.items():
            value = getattr(self, field)
            if value not in choices:
                raise RecipeError(
                    f"{field}={value!r} is not known. Choose one of: {', '.join(choices)}."
                )
        if self.method == "dynamic" and self.scheme == "xnnpack":
            raise RecipeError(
                "Dynamic quantisation has no XNNPACK kernels in this runtime: its linear runs on "
                "QNNPACK. Use scheme 'qnnpack', or method 'static' for XNNPACK's speed."
            )
        if self.epochs < 1 or not self.learning_rate > 0:
            raise RecipeError("epochs must be at least 1 and learning_rate above 0.")
        # Lists come in from JSON; a frozen dataclass should hold what it promises.
        object.__setattr__(self, "float_layers", tuple(self.float_layers))

    @property
    def needs_calibration(self) -> bool:
        """Whether `quantize` needs images."""
        return self.method in ("static", "qat")

    def describe(self) -> dict[str, str]:
        """Return one row of the table of recipes: what becomes int8, and when."""
        weight = f"int8, symmetric, {self.weights.replace('_', ' ')}"
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
                f"{weight}, learnt with int8 simulated",
                f"{number}, per tensor, range fixed by calibration before training",
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
        """Return plain JSON values, for the metadata."""
        return {**asdict(self), "float_layers": list(self.float_layers)}

    def __str__(self) -> str:
        row = self.describe()
        if self.method == "none":
            return f"{self.name}: float32, nothing quantised"
        kept = f"; float: {', '.join(self.float_layers)}" if self.float_layers else ""
        return (
            f"{self.name}: {row['layers']}; weights {row['weights']}; "
            f"activations {row['activations']}; {self.mode} mode on {row['kernels']}{kept}"
        )


def _all_recipes() -> dict[str, QuantizeRecipe]:
    made = [QuantizeRecipe(name="none", method="none", equalize=False)]
    for mode in ("eager", "fx"):
        suffix = "" if mode == "eager" else "-fx"
        common: dict[str, Any] = {"mode": mode}
        made.append(
            QuantizeRecipe(
                name=f"dynamic{suffix}",
                method="dynamic",
                scheme="qnnpack",
                equalize=False,
                **common,
            )
        )
        for method in ("static", "qat"):
            for scheme in ("xnnpack", "qnnpack"):
                made.append(
                    QuantizeRecipe(
                        name=f"{method}-{scheme}{suffix}",
                        method=method,
                        scheme=scheme,
                        **common,
                    )
                )
    return {recipe.name: recipe for recipe in made}


RECIPES: dict[str, QuantizeRecipe] = _all_recipes()


def find_recipe(name: str) -> QuantizeRecipe:
    """Return the recipe called `name`; raise RecipeError with the nearest names."""
    if name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(name, RECIPES, n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise RecipeError(f"There is no recipe {name!r}. {hint}Known: {', '.join(RECIPES)}.")


def make_recipe(
    method: Method,
    *,
    mode: Mode = "eager",
    scheme: Scheme = "xnnpack",
    observer: Observer | None = None,
    weights: Granularity | None = None,
    rounding: Rounding | None = None,
    float_layers: tuple[str, ...] = (),
    equalize: bool = True,
    cheap_activations: bool = True,
    epochs: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
) -> QuantizeRecipe:
    """Build a recipe from the options of the command line, starting from the named one."""
    suffix = "" if mode == "eager" else "-fx"
    middle = f"-{scheme}" if method in ("static", "qat") else ""
    base = find_recipe("none" if method == "none" else f"{method}{middle}{suffix}")
    return replace(
        base,
        mode=mode if method != "none" else base.mode,
        observer=observer or base.observer,
        weights=weights or base.weights,
        rounding=rounding or base.rounding,
        float_layers=float_layers,
        equalize=base.equalize and equalize,
        cheap_activations=cheap_activations,
        epochs=base.epochs if epochs is None else epochs,
        learning_rate=base.learning_rate if learning_rate is None else learning_rate,
        seed=seed,
    )
