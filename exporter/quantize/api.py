"""The one entry point: a float module and a recipe in, an int8 module and its report out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, fx, nn

from ..errors import (
    CalibrationError,
    NothingQuantized,
    QuantizeError,
    TrainingDataError,
    Untraceable,
)
from ..options import NO_TRAINING_IMAGES
from ..progress import Listener, silent
from ..recipes import QuantizeRecipe
from ..rewrites.layers import is_plain_conv, is_plain_linear
from ..rewrites.trace import trace
from ..rewrites.watch import hooks, watch
from .activations import SOFTMAX_ERROR
from .calibrate import check_calibration
from .dynamic import quantize_dynamic, quantize_recurrent
from .engine import quantized_engine, require_phone_packing
from .layers import Int8Layer, SimulatedLayer
from .qat import Trained, TrainingSet, fine_tune
from .simulate import (
    EAGER_WORKS,
    Simulated,
    calibrate,
    convert,
    layer_names,
    match_layers,
    prepared_copy,
    simulate_int8,
)

# A kernel may round otherwise than the simulation by a step here and there, never everywhere.
# Measured: 0.0 to 0.2 steps on average, on XNNPACK and QNNPACK.
_MOST_MEAN_STEPS = 1.0


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """What became of one layer; `why_float` is empty for an int8 layer.

    `weights` is `int8 per_channel`, `int8 per_tensor` or `float32`. `kernel_steps` is how far the
    int8 kernel's output lies from the simulation's, in quantisation steps on average; None where
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

    `module` takes what the float module took. `simulated` is the fake-quantised twin (None for
    dynamic): evaluate it to see what training sees, compare it to see what conversion changed.
    `recipe` says what was really done (its mode is never `auto`).
    """

    module: nn.Module
    recipe: QuantizeRecipe
    layers: tuple[LayerReport, ...]
    notes: tuple[str, ...]
    simulated: nn.Module | None = None
    trained: Trained | None = None

    @property
    def int8_layers(self) -> int:
        """Return how many layers run in int8."""
        return sum(layer.int8 for layer in self.layers)

    @property
    def float_layers(self) -> tuple[str, ...]:
        """Name the Conv2d and Linear layers that stay float."""
        return tuple(layer.name for layer in self.layers if not layer.int8)


@dataclass(frozen=True, kw_only=True)
class QuantizeImages:
    """The images that a recipe is applied with, normalised: N,C,H,W float32.

    `example` is one input; its size is the size of the result's inputs. `calibration` are batches
    (static and QAT). `allow_noise` accepts noise as calibration, for random weights. `train` and
    `checkpoint` (resumed when it exists) are for QAT.
    """

    example: Tensor
    calibration: Sequence[Tensor] | None = None
    allow_noise: bool = False
    train: TrainingSet | None = None
    checkpoint: Path | None = None


def quantize(
    module: nn.Module, recipe: QuantizeRecipe, images: QuantizeImages, *, tell: Listener = silent
) -> Quantized:
    """Quantise a copy of `module` (eval, float32) as `recipe` says.

    `tell` hears how far it is. `module` is never changed.

    Raises CalibrationError, TrainingDataError, UnknownLayer, NotFinite, WrongEngine, and
    NothingQuantized when no layer became int8.
    """
    if recipe.method == "none":
        return Quantized(module=module, recipe=recipe, layers=_report_float(module), notes=())
    if recipe.method == "dynamic":
        return _dynamic(module, recipe, images.example)
    batches = images.calibration
    if batches is None:
        raise CalibrationError(
            f"Recipe {recipe.name} takes its ranges from images. Give a folder of 50 to 500 "
            "typical ones (--calibration DIR)."
        )
    check_calibration(batches, allow_noise=images.allow_noise)
    if recipe.method == "qat" and images.train is None:
        raise TrainingDataError(NO_TRAINING_IMAGES)
    with quantized_engine():
        simulated = simulate_int8(module, recipe, example=images.example, calibration=batches)
        if not simulated.layers:
            raise _nothing(module, recipe, simulated.float_layers)
        calibrate(simulated, batches, tell=tell)
        trained = None
        if recipe.method == "qat" and images.train is not None:
            trained = fine_tune(
                simulated, module, images.train, checkpoint=images.checkpoint, tell=tell
            )
        return finish(simulated, batches[0][:1], trained=trained)


def finish(simulated: Simulated, example: Tensor, *, trained: Trained | None = None) -> Quantized:
    """Convert a calibrated `simulated`, check each kernel against its simulation, and report.

    `example` is one real image: kernels are compared on what it brings to them. Raises
    QuantizeError naming the layer whose kernel computes something else.
    """
    with quantized_engine():
        simulated.simulate(simulated.layers)
        int8 = convert(simulated)
        require_phone_packing(int8)
        steps = kernel_steps(simulated, int8, example)
    wrong = {name: value for name, value in steps.items() if not value <= _MOST_MEAN_STEPS}
    if wrong:
        worst = max(wrong, key=lambda name: wrong[name])
        raise QuantizeError(
            f"The int8 kernels of {len(wrong)} layers compute something else than int8 arithmetic "
            f"says (worst: {worst}, {wrong[worst]:.1f} steps off on average). Keep them in float "
            f"({' '.join(f'--float-layers {name}' for name in list(wrong)[:5])}) or use the other "
            "scheme."
        )
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
        _float_layer(name, modules[name], why)
        for name, why in simulated.float_layers.items()
        if name in modules
    ]
    if not any(layer.int8 for layer in layers):
        raise _nothing(simulated.module, simulated.recipe, simulated.float_layers)
    joined = sum(layer.feeds_int8 for layer in simulated.layers.values())
    notes = list(simulated.notes)
    if joined:
        notes.append(f"{joined} times int8 goes straight from one layer to the next.")
    once = len(simulated.shared_inputs) if isinstance(int8, fx.GraphModule) else 0
    if once:
        notes.append(f"{once} tensors that several layers read are quantised once for all.")
    notes += _cheap_activations(simulated)
    return Quantized(
        module=int8,
        recipe=simulated.recipe,
        layers=tuple(layers),
        notes=tuple(notes),
        simulated=simulated.module,
        trained=trained,
    )


def _cheap_activations(simulated: Simulated) -> list[str]:
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


def kernel_steps(simulated: Simulated, int8: nn.Module, example: Tensor) -> dict[str, float]:
    """Compare each int8 kernel with its simulation on the same input; mean |d| in output steps."""
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def keep(name: str, args: tuple[Tensor, ...], out: Tensor) -> None:
        # Copies: an activation in place would write into what is kept here.
        inputs[name], outputs[name] = args[0].clone(), out.clone()

    with torch.no_grad(), hooks(simulated.layers, after=keep):
        simulated.module(example)
    steps = {}
    for name, given in inputs.items():
        layer = simulated.layers[name]
        kernel = int8.get_submodule(name)
        assert isinstance(kernel, Int8Layer)
        grid_in, grid_out = layer.grids
        with torch.no_grad():
            codes = torch.quantize_per_tensor(given, grid_in.scale, grid_in.zero_point, layer.dtype)
            actual = kernel.kernel(codes).dequantize()
        steps[name] = float((actual - outputs[name]).abs().mean() / grid_out.scale)
    return steps


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


def _float_layer(name: str, layer: nn.Module, why: str) -> LayerReport:
    return LayerReport(
        name=name,
        kind=type(layer).__name__,
        int8=False,
        weights="float32",
        parameters=sum(p.numel() for p in layer.parameters()),
        why_float=why,
    )


def _report_float(module: nn.Module) -> tuple[LayerReport, ...]:
    return tuple(
        _float_layer(name, module.get_submodule(name), "the recipe quantises nothing")
        for name in layer_names(module)
    )


def _nothing(
    module: nn.Module, recipe: QuantizeRecipe, float_layers: dict[str, str]
) -> NothingQuantized:
    found = len(layer_names(module))
    if recipe.method == "dynamic":
        return NothingQuantized(
            f"Dynamic quantisation is for Linear layers, and {type(module).__name__} has none that "
            "could be int8. Use static quantisation (--quantize static), which takes convolutions."
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


def _dynamic(module: nn.Module, recipe: QuantizeRecipe, example: Tensor) -> Quantized:
    base = prepared_copy(module, example)
    notes: list[str] = []
    if recipe.mode in ("fx", "auto"):
        try:
            base, _ = trace(base, example)
            recipe = replace(recipe, mode="fx")
        except Untraceable as error:
            if recipe.mode == "fx":
                raise QuantizeError(f"{error} {EAGER_WORKS}") from error
            notes.append(f"Eager mode, because: {error}")
            recipe = replace(recipe, mode="eager")
    names = layer_names(base)
    kept = match_layers(recipe.float_layers, names)
    flow = watch(base, example)
    reports, chosen = [], []
    for name in names:
        layer = base.get_submodule(name)
        if name in kept:
            why = "asked for"
        elif is_plain_conv(layer):
            why = "the engine has no dynamic convolution; static quantisation takes it"
        elif not flow.calls.get(name):
            why = "its forward is not called; its owner reads its weights directly"
        else:
            assert is_plain_linear(layer)
            chosen.append(name)
            reports.append(
                LayerReport(
                    name=name,
                    kind="Linear",
                    int8=True,
                    weights=f"int8 {recipe.granularity}",
                    parameters=sum(p.numel() for p in layer.parameters()),
                )
            )
            continue
        reports.append(_float_layer(name, layer, why))
    with quantized_engine():
        recurrent = quantize_recurrent(base)
        if not chosen and not recurrent:
            raise _nothing(module, recipe, {})
        quantize_dynamic(base, chosen, per_channel=recipe.granularity == "per_channel")
        require_phone_packing(base)
        with torch.no_grad():
            base(example)
    convolutions = sum(is_plain_conv(m) for m in base.modules())
    if convolutions > len(chosen):
        notes.append(
            f"Dynamic quantisation takes Linear layers only: {len(chosen)} of them, while "
            f"{convolutions} convolutions stay float. Static quantisation takes both."
        )
    if recurrent:
        notes.append(f"{len(recurrent)} recurrent layers are dynamic int8 as well.")
    return Quantized(module=base.eval(), recipe=recipe, layers=tuple(reports), notes=tuple(notes))
