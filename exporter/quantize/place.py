"""Place int8 layer by layer: which layers, what they hand on as int8, what stays float.

In eager mode this works on every model, whether or not it can be traced. In FX mode the model
is traced first (`trace_fx`), and the same code then works on the graph's modules.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import torch
import torch.nn.functional as functional
from torch import fx, nn

from ..errors import NotFinite, QuantizeError, UnknownLayer, Untraceable
from ..recipes import QuantizeRecipe, WeightRounding
from ..rewrites.apply import edit_modules
from ..rewrites.attention import open_attention
from ..rewrites.layers import is_plain_conv, is_plain_linear, replace_submodule
from ..rewrites.trace import trace
from ..rewrites.watch import Example, Flow, Value, watch
from .activations import SimulatedGelu, SimulatedSoftmax
from .equalize import equalize, equalize_attention, equalize_layer_scales
from .layers import SimulatedLayer
from .ranges import Clipping

# What to do where tracing fails. The advice is this step's: nothing else has an eager mode.
EAGER_WORKS = "Eager mode (--mode eager) needs no trace and works on this model."


@dataclass(frozen=True, kw_only=True)
class CalibrationChoice:
    """What calibration measured to be best; None where the recipe left no choice.

    `clipping` is how ranges of activations are cut, `rounding` how weights of convolutions are
    rounded; `corrected_means` says whether biases put the means of outputs back.
    """

    clipping: Clipping | None = None
    rounding: WeightRounding | None = None
    corrected_means: bool = False


@dataclass
class Simulated:
    """A module whose layers observe and simulate int8; `convert` makes the real thing.

    `float_layers` maps each layer that stays float to the reason. `notes` are sentences for the
    report, `choice` is calibration's. `shared_inputs` are layers that read one tensor, which is
    quantized once for all.
    """

    module: nn.Module
    recipe: QuantizeRecipe
    layers: dict[str, SimulatedLayer]
    float_layers: dict[str, str]
    notes: list[str] = field(default_factory=list)
    gelus: dict[str, SimulatedGelu] = field(default_factory=dict)
    softmaxes: dict[str, SimulatedSoftmax] = field(default_factory=dict)
    shared_inputs: list[tuple[str, ...]] = field(default_factory=list)
    choice: CalibrationChoice = CalibrationChoice()

    def watch_ranges(self, on: bool) -> None:
        """Switch range observation."""
        for layer in self.layers.values():
            layer.watching = on

    def simulate(self, names: Iterable[str]) -> None:
        """Simulate int8 in the layers `names` and float in all others.

        GELU goes with its two neighbors, softmax with the network: on where most layers are int8.
        """
        chosen = set(names)
        for name, layer in self.layers.items():
            layer.simulating = name in chosen
        for gelu in self.gelus.values():
            gelu.simulating = gelu.source in chosen and gelu.reader in chosen
        for softmax in self.softmaxes.values():
            softmax.simulating = 2 * len(chosen) > len(self.layers)


def layer_names(module: nn.Module) -> tuple[str, ...]:
    """Name every layer that can become int8: plain Conv2d and Linear."""
    return tuple(n for n, m in module.named_modules() if is_plain_conv(m) or is_plain_linear(m))


def match_layers(patterns: Sequence[str], names: Sequence[str]) -> frozenset[str]:
    """Expand layer names, prefixes (`blocks.0`) and shell patterns to layer names.

    Raises UnknownLayer, with the nearest names, for a pattern that matches nothing.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        found = {n for n in names if fnmatchcase(n, pattern) or n.startswith(pattern + ".")}
        if not found:
            near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.4) or list(names[:3])
            raise UnknownLayer(
                f"No layer is called {pattern!r}. The nearest are: {', '.join(near)}. Layers "
                "that can be int8 or float are Conv2d and Linear; patterns such as blocks.0.* work."
            )
        chosen |= found
    return frozenset(chosen)


def prepared_copy(module: nn.Module, example: Example) -> nn.Module:
    """Return an eval copy of `module` with plain convolutions and folded BatchNorm.

    The rewrites find nothing to do on a module that has already been through. Raises NotFinite
    when a weight is NaN or infinite.
    """
    copied = copy.deepcopy(module).eval()
    for name, parameter in copied.named_parameters():
        if parameter.is_floating_point() and not bool(torch.isfinite(parameter).all()):
            raise NotFinite(
                f"Weight {name} holds NaN or infinity, so there is no int8 range for it. "
                "Check the checkpoint: a training run that diverged, or a damaged file."
            )
    return edit_modules(copied, example)


def _clamp_of(activation: nn.Module) -> tuple[float, float] | None:
    if isinstance(activation, nn.ReLU):
        return (0.0, float("inf"))
    if isinstance(activation, nn.Hardtanh):  # ReLU6 is one
        return (float(activation.min_val), float(activation.max_val))
    return None


def _absorb_activations(module: nn.Module, layers: dict[str, SimulatedLayer], flow: Flow) -> None:
    """Let int8 saturation do the work of each ReLU or ReLU6 that follows a layer."""
    sources = {flow.outputs[name]: name for name in layers if name in flow.outputs}
    for name, child in list(module.named_modules()):
        clamp = _clamp_of(child)
        source = sources.get(flow.inputs.get(name, (0, -1)))
        if clamp is None or source is None or not flow.feeds_only(source, name):
            continue
        layers[source].clamp = clamp
        replace_submodule(module, name, nn.Identity())


def _readers_by_input(layers: Iterable[str], flow: Flow) -> dict[Value, list[str]]:
    """Group layers that run once by the tensor they read."""
    found: dict[Value, list[str]] = {}
    for name in layers:
        if name in flow.inputs and flow.calls.get(name) == 1:
            found.setdefault(flow.inputs[name], []).append(name)
    return found


def _join_neighbors(layers: dict[str, SimulatedLayer], flow: Flow) -> None:
    """Hand int8 straight from one layer to the next where only int8 layers read it."""
    by_input = _readers_by_input(layers, flow)
    for name, layer in layers.items():
        value = flow.outputs.get(name)
        if value is None or flow.calls.get(name) != 1:
            continue
        readers = by_input.get(value, [])
        if not readers or flow.only_readers(name) != set(readers):
            continue
        # Between them lie only Identity modules, which pass int8 tensors through.
        layer.feeds_int8 = True
        for reader in readers:
            layers[reader].reads_from = name


def _pass_grids_through_pads(
    module: nn.Module, layers: dict[str, SimulatedLayer], flow: Flow
) -> None:
    """Let a layer behind a padding with zeros use the grid of the layer before it.

    Zero lies on every grid, so what is padded lies on the grid that it was rounded to: a grid of
    its own, found by what it sees with the zeros, would only round it once more.
    """
    sources = {flow.outputs[name]: name for name in layers if name in flow.outputs}
    by_input = _readers_by_input(layers, flow)
    for name, child in module.named_modules():
        if not isinstance(child, nn.ConstantPad2d) or child.value != 0:
            continue
        source = sources.get(flow.inputs.get(name, (0, -1)))
        if source is None or flow.calls.get(source) != 1:
            continue
        for reader in by_input.get(flow.outputs.get(name, (0, -1)), []):
            layers[reader].on_grid_of = source


def _share_inputs(layers: dict[str, SimulatedLayer], flow: Flow) -> list[tuple[str, ...]]:
    """Name the groups of int8 layers that read one float tensor."""
    floats = [name for name, layer in layers.items() if not layer.reads_from]
    groups = _readers_by_input(floats, flow).values()
    return [tuple(group) for group in groups if len(group) > 1]


def _place_gelus(
    module: nn.Module, layers: dict[str, SimulatedLayer], flow: Flow
) -> dict[str, SimulatedGelu]:
    """Mark each GELU that lies between two int8 layers and is read by the second alone."""
    sources = {flow.outputs[name]: name for name in layers if name in flow.outputs}
    readers = {flow.inputs[name]: name for name in layers if name in flow.inputs}
    placed: dict[str, SimulatedGelu] = {}
    for name, child in list(module.named_modules()):
        if type(child) is not nn.GELU or flow.calls.get(name) != 1:
            continue
        source = sources.get(flow.inputs.get(name, (0, -1)))
        reader = readers.get(flow.outputs.get(name, (0, -1)))
        if source is None or reader is None:
            continue
        # It is written over its input, which must be its own.
        if not (flow.feeds_only(source, name) and flow.feeds_only(name, reader)):
            continue
        if flow.calls.get(reader) != 1 or flow.calls.get(source) != 1:
            continue
        placed[name] = SimulatedGelu(child, name=name, source=source, reader=reader)
        replace_submodule(module, name, placed[name].eval())
    return placed


def _place_softmaxes(module: nn.Module) -> dict[str, SimulatedSoftmax]:
    """Turn each softmax over the last dimension of a traced graph into a module.

    Fused attention is opened for it.
    """
    placed: dict[str, SimulatedSoftmax] = {}
    if not isinstance(module, fx.GraphModule):
        return placed
    graph = module

    def place(scale: float) -> str:
        name = f"_softmax_{len(placed)}"
        placed[name] = SimulatedSoftmax(name=name, scale=scale).eval()
        graph.add_submodule(name, placed[name])
        return name

    open_attention(module, place)
    for node in list(module.graph.nodes):
        called = node.op == "call_method" and node.target == "softmax"
        called |= node.op == "call_function" and node.target in (
            torch.softmax,
            functional.softmax,
        )
        dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        # Only attention: a network's own last softmax is its output and stays exact.
        if not called or dim != -1 or any(user.op == "output" for user in node.users):
            continue
        with module.graph.inserting_after(node):
            new = module.graph.call_module(place(1.0), (node.args[0],))
        node.replace_all_uses_with(new)
        module.graph.erase_node(node)
    module.recompile()
    return placed


def _place(
    module: nn.Module, recipe: QuantizeRecipe, example: Example, float_layers: dict[str, str]
) -> tuple[dict[str, SimulatedLayer], dict[str, SimulatedGelu], list[tuple[str, ...]]]:
    flow = watch(module, example)
    layers: dict[str, SimulatedLayer] = {}
    for name in layer_names(module):
        if name in float_layers:
            continue
        if not flow.calls.get(name):
            float_layers[name] = "its forward is not called; its owner reads its weights directly"
            continue
        layer = module.get_submodule(name)
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        layers[name] = SimulatedLayer(
            layer, recipe, name=name, input_dim=flow.input_dims.get(name, -1)
        )
    for name, simulated in layers.items():
        replace_submodule(module, name, simulated)
    _absorb_activations(module, layers, flow)
    for simulated in layers.values():
        simulated.eval()
        simulated.watching = False  # observers are readers too
    # The activations are gone now, so neighbors show.
    flow = watch(module, example)
    _join_neighbors(layers, flow)
    _pass_grids_through_pads(module, layers, flow)
    cheap = recipe.cheap_activations and recipe.scheme == "xnnpack"
    gelus = _place_gelus(module, layers, flow) if cheap else {}
    for simulated in layers.values():
        simulated.watching = True
    return layers, gelus, _share_inputs(layers, flow)


def traced_copy(
    module: nn.Module, recipe: QuantizeRecipe, example: Example
) -> tuple[nn.Module, QuantizeRecipe, list[str]]:
    """Prepare a copy of `module` and trace it where the recipe's mode says so.

    Returns it with the recipe in the mode that it really has, and sentences for the report.
    Raises QuantizeError where mode `fx` cannot trace the module.
    """
    base = prepared_copy(module, example)
    if recipe.mode == "eager":
        return base, recipe, []
    try:
        base, leaves = trace(base, example)
    except Untraceable as error:
        if recipe.mode == "fx":
            raise QuantizeError(f"{error} {EAGER_WORKS}") from error
        return base, replace(recipe, mode="eager"), [f"Eager mode, because: {error}"]
    notes = []
    if leaves:
        first = ", ".join(leaves[:3]) + (", ..." if len(leaves) > 3 else "")
        notes.append(f"FX kept {len(leaves)} modules whole (leaves): {first}.")
    return base, replace(recipe, mode="fx"), notes


def _equalize(
    base: nn.Module, recipe: QuantizeRecipe, example: Example, calibration: Sequence[Example]
) -> list[str]:
    """Equalize `base` in place; return sentences for the report."""
    notes = []
    per_tensor = recipe.granularity == "per_tensor"
    count = len(equalize(base, calibration, example, convolutions=per_tensor))
    if count:
        notes.append(f"{count} layer pairs equalized before int8 (exact in float).")
    if isinstance(base, fx.GraphModule):
        count = len(equalize_attention(base, calibration))
        if count:
            notes.append(f"q, k and v of {count} attentions equalized (exact in float).")
        count = len(equalize_layer_scales(base, calibration))
        if count:
            notes.append(f"{count} layers equalized into their LayerScale (exact in float).")
    return notes


def simulate_int8(
    module: nn.Module,
    recipe: QuantizeRecipe,
    *,
    example: Example,
    calibration: Sequence[Example] | None = None,
) -> Simulated:
    """Return a copy of `module` that observes ranges; the input is normalized float N,C,H,W.

    Of several inputs `example` and each of `calibration` are the arguments of one call.
    With `calibration` the copy is equalized first, where the recipe says so. Raises UnknownLayer
    for a float layer that does not exist.
    """
    base, recipe, notes = traced_copy(module, recipe, example)
    if recipe.equalize and calibration is not None:
        notes += _equalize(base, recipe, example, calibration)
    wanted = match_layers(recipe.float_layers, layer_names(base))
    float_layers = dict.fromkeys(sorted(wanted), "asked for")
    while True:
        # Placing wraps layers and leaves weights alone, so both share them.
        shared = {id(t): t for t in (*base.parameters(), *base.buffers())}
        candidate = copy.deepcopy(base, shared)
        reasons = dict(float_layers)
        try:
            layers, gelus, shared_inputs = _place(candidate, recipe, example, reasons)
        except AttributeError as error:
            # Some owners read layer.weight themselves; Python says which object lacked it.
            culprit = getattr(error, "obj", None)
            if not isinstance(culprit, SimulatedLayer):
                raise
            name = culprit.name
            if not name or name in float_layers:
                raise
            float_layers[name] = f"its owner reads its attribute {error.name!r} directly"
            continue
        cheap = recipe.cheap_activations and recipe.scheme == "xnnpack"
        softmaxes = _place_softmaxes(candidate) if cheap else {}
        return Simulated(candidate, recipe, layers, reasons, notes, gelus, softmaxes, shared_inputs)
