"""Say what became of each layer, and what an int8 module is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from ..errors import NothingQuantized
from ..recipes import QuantizeRecipe
from .activations import SOFTMAX_ERROR
from .layers import SimulatedLayer
from .place import CalibrationChoice, Simulated, layer_names
from .qat import Trained
from .ranges import Clipping

_CUT: Mapping[Clipping, str] = {
    "observer": "cut by histogram (least squared error)",
    "none": "from smallest to largest value",
    "mild": "cut by histogram, but nowhere below half",
}


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """What became of one layer; `why_float` is empty for an int8 layer.

    `weights` is `int8 per_channel`, `int8 per_tensor` or `float32`. `kernel_steps` is how far the
    int8 kernel's output lies from the simulation's, in quantization steps on average; None where
    there is no simulation (dynamic).
    """

    name: str
    kind: str
    int8: bool
    weights: str
    parameters: int
    why_float: str = ""
    kernel_steps: float | None = None


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """An int8 module that scripts and traces, and what was done to get it.

    `module` takes what the float module took. `simulated` is the fake-quantized twin (None for
    dynamic): evaluate it to see what training sees, compare it to see what conversion changed.
    `recipe` says what was really done (its mode is never `auto`), and `calibration` what was
    chosen by measuring (None for dynamic).
    """

    module: nn.Module
    recipe: QuantizeRecipe
    layers: tuple[LayerReport, ...]
    notes: tuple[str, ...]
    simulated: nn.Module | None = None
    trained: Trained | None = None
    calibration: CalibrationChoice | None = None

    @property
    def int8_layers(self) -> int:
        """Return how many layers run in int8."""
        return sum(layer.int8 for layer in self.layers)

    @property
    def float_layers(self) -> tuple[str, ...]:
        """Name the Conv2d and Linear layers that stay float."""
        return tuple(layer.name for layer in self.layers if not layer.int8)


def calibration_notes(choice: CalibrationChoice) -> list[str]:
    """Say what calibration chose by measuring."""
    notes = []
    if choice.clipping is not None:
        notes.append(f"Activation ranges: {_CUT[choice.clipping]}; measured to be the best here.")
    if choice.rounding is not None:
        notes.append(
            f"Weights of convolutions: {choice.rounding} rounding; measured to be better here."
        )
    if choice.corrected_means:
        notes.append("Means of the layers' outputs: corrected; measured to be better.")
    return notes


def cheap_activation_notes(simulated: Simulated) -> list[str]:
    """Say how many GELUs and softmaxes are polynomials now, and how far off at most."""
    notes = []
    fits = [
        gelu.fit.error / simulated.layers[gelu.reader].grids[0].scale
        for gelu in simulated.gelus.values()
        if gelu.fit is not None
    ]
    if fits:
        notes.append(
            f"{len(fits)} of {len(simulated.gelus)} GELUs between int8 layers are polynomials: at "
            f"most {max(fits):.2f} steps of the next layer's input off."
        )
    if simulated.softmaxes:
        notes.append(
            f"{len(simulated.softmaxes)} softmaxes take their exponentials from squarings: at most "
            f"{SOFTMAX_ERROR:g} of a row's largest value off."
        )
    return notes


def _suffix(layer: SimulatedLayer) -> str:
    if layer.clamp is None:
        return ""
    return (
        " + ReLU6"
        if layer.clamp == (0.0, 6.0)
        else " + ReLU"
        if layer.clamp[0] == 0
        else " + clamp"
    )


def float_layer(name: str, layer: nn.Module, why: str) -> LayerReport:
    """Report on a layer that stays float because of `why`."""
    return LayerReport(
        name=name,
        kind=type(layer).__name__,
        int8=False,
        weights="float32",
        parameters=sum(p.numel() for p in layer.parameters()),
        why_float=why,
    )


def report_float(module: nn.Module) -> tuple[LayerReport, ...]:
    """Report on the layers of a module of which nothing becomes int8."""
    return tuple(
        float_layer(name, module.get_submodule(name), "the recipe quantizes nothing")
        for name in layer_names(module)
    )


def nothing_quantized(
    module: nn.Module, recipe: QuantizeRecipe, float_layers: dict[str, str]
) -> NothingQuantized:
    """Return the error for a module of which no layer became int8; `float_layers` says why."""
    found = len(layer_names(module))
    if recipe.method == "dynamic":
        return NothingQuantized(
            f"Dynamic quantization is for Linear layers, and {type(module).__name__} has none that "
            "could be int8. Use static quantization (--quantize static), which takes convolutions."
        )
    if not found and not float_layers:
        return NothingQuantized(
            f"{type(module).__name__} has no plain Conv2d or Linear layer, so nothing can be int8. "
            "Export it in float (--quantize none)."
        )
    first = "; ".join(f"{name}: {why}" for name, why in list(float_layers.items())[:3])
    return NothingQuantized(
        f"Not one of {found or len(float_layers)} layers became int8 ({first}). Take patterns out "
        "of --float-layers, or export in float (--quantize none)."
    )


def describe_layers(simulated: Simulated, steps: Mapping[str, float]) -> tuple[LayerReport, ...]:
    """Report on each layer; `steps` is how far each kernel lies from its simulation."""
    layers = [
        LayerReport(
            name=name,
            kind=type(layer.layer).__name__ + _suffix(layer),
            int8=True,
            weights="int8 per_channel" if len(layer.scales) > 1 else "int8 per_tensor",
            parameters=sum(p.numel() for p in layer.layer.parameters()),
            kernel_steps=steps.get(name),
        )
        for name, layer in simulated.layers.items()
    ]
    modules = dict(simulated.module.named_modules())
    layers += [
        float_layer(name, modules[name], why)
        for name, why in simulated.float_layers.items()
        if name in modules
    ]
    return tuple(layers)
