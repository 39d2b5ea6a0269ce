"""Move range from activations to weights between neighboring layers: exact in float.

All factors are powers of two, so the rescaled network computes the same floats, bit for bit
apart from underflow. Sources: SmoothQuant (arXiv 2211.10438) for LayerNorm -> Linear, and
data-free quantization's cross-layer equalization (arXiv 1906.04721) for Conv -> ReLU -> Conv.
A ReLU6 in between is left alone: min(6, s x) is not s min(6, x).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..rewrites.attention import find_attentions
from ..rewrites.layers import is_plain_conv, is_plain_linear
from ..rewrites.scales import find_layer_scales
from ..rewrites.watch import Example, Flow, arguments, hooks, watch

# How much of an activation's range moves into the weights; 0.5 is SmoothQuant's default.
MIGRATION = 0.5
# Bounds keep one dead channel from making the others' weights explode.
_LARGEST_POWER = 6


def _factors(activation: Tensor, weight: Tensor) -> Tensor:
    """Return per-channel powers of two that divide the activation and multiply the weight."""
    alive = (activation > 0) & (weight > 0)
    wish = torch.zeros_like(activation)
    wish[alive] = MIGRATION * activation[alive].log2() - (1 - MIGRATION) * weight[alive].log2()
    if bool(alive.any()):
        wish[alive] -= wish[alive].mean()
    return torch.pow(2.0, wish.round().clamp(-_LARGEST_POWER, _LARGEST_POWER))


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return layer.weight


def _divide_outputs(layer: nn.Module, factors: Tensor) -> None:
    weight = _weight(layer)
    weight.div_(factors.view(-1, *(1,) * (weight.dim() - 1)))
    if isinstance(layer.bias, Tensor):
        layer.bias.div_(factors)


def _multiply_inputs(layer: nn.Module, factors: Tensor) -> None:
    if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1:
        repeat = layer.out_channels // layer.in_channels
        layer.weight.mul_(factors.repeat_interleave(repeat).view(-1, 1, 1, 1))
    elif isinstance(layer, nn.Conv2d):
        layer.weight.mul_(factors.view(1, -1, 1, 1))
    else:
        _weight(layer).mul_(factors)


def _input_range(layer: nn.Module) -> Tensor:
    """Return max|w| per input channel of a plain layer."""
    weight = _weight(layer).detach().abs()
    if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1:
        return weight.flatten(1).amax(1).view(layer.in_channels, -1).amax(1)
    return weight.amax((0, 2, 3)) if weight.dim() == 4 else weight.amax(0)


def _takes_factors(layer: nn.Module) -> bool:
    """Whether the input channels of `layer` can be scaled one by one."""
    if isinstance(layer, nn.Conv2d):
        return is_plain_conv(layer) and layer.groups in (1, layer.in_channels)
    return is_plain_linear(layer)


def find_pairs(
    module: nn.Module, flow: Flow, *, convolutions: bool
) -> list[tuple[str, str, tuple[str, ...]]]:
    """Find (source, watched, targets): scale the source's output, undo it in the targets.

    `watched` is the module whose output the targets read: the source itself, or a ReLU after it.
    Convolutions as sources only if `convolutions`.
    """
    modules = dict(module.named_modules())
    plain = {n for n, m in modules.items() if is_plain_conv(m) or is_plain_linear(m)}
    by_input: dict[Any, list[str]] = {}
    for name, value in flow.inputs.items():
        by_input.setdefault(value, []).append(name)
    relu_after = {}
    for name, child in modules.items():
        if isinstance(child, nn.ReLU):
            relu_after[flow.inputs.get(name)] = name
    pairs = []
    for name, child in modules.items():
        norm = isinstance(child, nn.LayerNorm) and child.weight is not None
        conv = convolutions and name in plain and isinstance(child, nn.Conv2d)
        if not (norm or conv) or flow.calls.get(name) != 1 or name not in flow.outputs:
            continue
        watched = name
        if conv:
            relu = relu_after.get(flow.outputs[name])
            if relu is not None and flow.feeds_only(name, relu) and relu in flow.outputs:
                watched = relu
        readers = flow.only_readers(watched)
        targets = sorted(t for t in by_input.get(flow.outputs[watched], ()) if t in readers)
        if (
            targets
            and set(targets) == readers
            and all(t in plain and flow.calls[t] == 1 for t in targets)
            and all(_takes_factors(modules[t]) for t in targets)
            and (not norm or all(isinstance(modules[t], nn.Linear) for t in targets))
            and (not conv or all(isinstance(modules[t], nn.Conv2d) for t in targets))
        ):
            pairs.append((name, watched, tuple(targets)))
    return pairs


def _watch_ranges(
    module: nn.Module, channels: Mapping[str, int], calibration: Iterable[Example]
) -> dict[str, Tensor]:
    """Return max|output| per channel of the modules named, over `calibration`.

    `channels` says which dimension of each output holds the channels.
    """
    ranges: dict[str, Tensor] = {}

    def keep(name: str, _: object, out: Tensor) -> None:
        seen = out.detach().abs().movedim(channels[name], 0).flatten(1).amax(1)
        ranges[name] = torch.maximum(ranges[name], seen) if name in ranges else seen

    watched = {name: module.get_submodule(name) for name in channels}
    with torch.no_grad(), hooks(watched, after=keep):
        for batch in calibration:
            module(*arguments(batch))
    return ranges


def equalize_attention(graph: fx.GraphModule, calibration: Iterable[Example]) -> tuple[str, ...]:
    """Give q, k and v of one Linear similar ranges, as they share one grid; name the Linears.

    Exact in float, by powers of two: what multiplies a channel of q divides it in k, and what
    divides a channel of v multiplies the projection's input.
    """
    attentions = find_attentions(graph)
    if not attentions:
        return ()
    ranges = _watch_ranges(graph, {a.qkv: -1 for a in attentions}, calibration)
    done = []
    with torch.no_grad():
        for attention in attentions:
            linear = graph.get_submodule(attention.qkv)
            q, k, v = ranges[attention.qkv].chunk(3)
            wish = torch.where((q > 0) & (k > 0), 0.5 * (q / k).log2(), torch.zeros_like(q))
            both = torch.pow(2.0, wish.round().clamp(-_LARGEST_POWER, _LARGEST_POWER))
            level = torch.maximum((q / both).amax(), (k * both).amax())
            values = torch.ones_like(v)
            if attention.projection:
                projection = graph.get_submodule(attention.projection)
                values = _factors(v, _input_range(projection))
                # The largest value takes the level of the largest of q and k.
                values *= torch.pow(2.0, ((v / values).amax() / level).log2().round())
            factors = torch.cat([both, 1 / both, values])
            if not bool(torch.isfinite(factors).all()):
                continue
            _divide_outputs(linear, factors)
            if attention.projection:
                _multiply_inputs(projection, values)
            done.append(attention.qkv)
    return tuple(done)


def equalize_layer_scales(graph: fx.GraphModule, calibration: Iterable[Example]) -> tuple[str, ...]:
    """Let LayerScale carry the different ranges of a Linear's outputs; name the Linears.

    Exact in float, by powers of two: what divides an output multiplies its LayerScale.
    """
    scales = find_layer_scales(graph)
    uses = Counter(str(n.target) for n in graph.graph.nodes)
    scales = [s for s in scales if uses[s.gamma] == uses[str(s.linear.target)] == 1]
    if not scales:
        return ()
    ranges = _watch_ranges(graph, {str(s.linear.target): -1 for s in scales}, calibration)
    done = []
    with torch.no_grad():
        for scale in scales:
            name = str(scale.linear.target)
            seen = ranges[name]
            if not bool((seen > 0).any()):
                continue
            middle = seen[seen > 0].log2().mean()
            wish = torch.where(seen > 0, seen.log2() - middle, torch.zeros_like(seen))
            factors = torch.pow(2.0, wish.round().clamp(-_LARGEST_POWER, _LARGEST_POWER))
            if not bool(torch.isfinite(factors).all()):
                continue
            _divide_outputs(graph.get_submodule(name), factors)
            attrgetter(scale.gamma)(graph).mul_(factors)
            done.append(name)
    return tuple(done)


def equalize(
    module: nn.Module, calibration: Iterable[Example], example: Example, *, convolutions: bool
) -> tuple[str, ...]:
    """Equalize `module` in place from the ranges seen on `calibration`; name the sources.

    Exact in float: every factor is a power of two. `convolutions` says whether Conv -> Conv pairs
    are equalized too: that pays for per-tensor weights only (measured on EfficientNet-Lite0:
    with per-channel weights it costs 0.9 dB).
    """
    pairs = find_pairs(module, watch(module, example), convolutions=convolutions)
    if not pairs:
        return ()
    channels = {
        watched: 1 if isinstance(module.get_submodule(source), nn.Conv2d) else -1
        for source, watched, _ in pairs
    }
    ranges = _watch_ranges(module, channels, calibration)
    done = []
    with torch.no_grad():
        for source, watched, targets in pairs:
            weight = torch.stack([_input_range(module.get_submodule(t)) for t in targets]).amax(0)
            factors = _factors(ranges[watched], weight)
            if not bool(torch.isfinite(factors).all()):
                continue
            _divide_outputs(module.get_submodule(source), factors)
            for target in targets:
                _multiply_inputs(module.get_submodule(target), factors)
            done.append(source)
    return tuple(done)
