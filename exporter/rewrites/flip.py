"""Compute a network on the image rotated by 180 degrees, where that makes its padding free.

TensorFlow pads "same" convolutions of stride two with one more row and column after the image than
before it. PyTorch's convolutions pad both sides equally, so each such layer first copies its input
into a larger tensor; in int8 that copy is in float, between two conversions. But a convolution with
symmetric padding does not read every row that it pads: the remainder of the floor division is on
the far side. So on the rotated image, with every kernel rotated as well, symmetric padding (the
larger of the two) computes exactly the same values, and only the image is copied.

`python -m tests.benchmarks.passes` prints the gain.
"""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as functional
from torch import fx, nn

from .fx import (
    ACTIVATION_CALLS,
    ELEMENTWISE,
    Values,
    argument,
    calls_function,
    calls_method,
    give_own_module,
    module_of,
    observe,
    only_user,
    replace_node,
    tidy,
)
from .layers import ACTIVATIONS, NO_OPS, is_plain_conv, with_weights
from .watch import Example

# Layers and methods that work on each position alone: rotated input, rotated output.
_POINTWISE = (*NO_OPS, *ACTIVATIONS, nn.BatchNorm2d)
_POINTWISE_METHODS = ("contiguous", "clone", "relu", "relu_", "sigmoid", "sigmoid_", "tanh")
_WHOLE = {(2, 3), (3, 2), (-2, -1), (-1, -2)}


@dataclass
class _Plan:
    """What has to change: symmetric paddings of convolutions, and pads to remove."""

    padding: dict[fx.Node, tuple[int, int]] = field(default_factory=dict)
    pads: dict[fx.Node, tuple[int, int, int, int]] = field(default_factory=dict)


def _equal_padding(size: int, out: int, before: int, layer: nn.Conv2d, axis: int) -> int | None:
    """Return the symmetric padding that gives `out` positions on the rotated input, or None.

    The first window on the rotated input is the last one on the original: it starts where that
    one ends.
    """
    stride = int(layer.stride[axis])
    reach = int(layer.dilation[axis]) * (int(layer.kernel_size[axis]) - 1) + 1
    padding = (out - 1) * stride + reach - size - before
    fits = padding >= 0 and (size + 2 * padding - reach) // stride + 1 == out
    return padding if fits else None


def _plan_convolution(
    layer: nn.Conv2d, node: fx.Node, source: fx.Node, values: Values, plan: _Plan
) -> bool:
    """Find the padding of one convolution on its rotated input; return False if there is none."""
    left, _, top, _ = plan.pads.get(source, (0, 0, 0, 0))
    unpadded = cast(fx.Node, source.args[0]) if source in plan.pads else source
    sides = [
        _equal_padding(
            values.shapes[unpadded][2 + axis],
            values.shapes[node][2 + axis],
            before + int(layer.padding[axis]),
            layer,
            axis,
        )
        for axis, before in enumerate((top, left))
    ]
    if sides[0] is None or sides[1] is None:
        return False
    plan.padding[node] = (sides[0], sides[1])
    return True


def _keeps_positions(
    graph: fx.GraphModule, node: fx.Node, rotated: set[fx.Node], values: Values
) -> bool:
    """Whether a node returns rotated outputs for rotated inputs without being changed."""
    module = module_of(graph, node)
    if module is not None:
        return isinstance(module, _POINTWISE) and not module.training
    if calls_function(node, ACTIVATION_CALLS):
        return True
    if calls_function(node, ELEMENTWISE) or calls_method(node, "mul_"):
        # What is not rotated must be constant over positions: numbers, gates, factors per channel.
        shape = values.shapes[node]
        return all(
            values.shapes.get(n) == shape
            if n in rotated
            else values.shapes.get(n, (1, 1))[-2:] in ((), (1,), (1, 1))
            for n in node.all_input_nodes
        )
    if calls_function(node, (torch.cat,)):
        return argument(node, 1, "dim", 0) == 1 and all(n in rotated for n in node.all_input_nodes)
    if calls_function(node, (torch.split,)) or calls_method(node, "split"):
        return bool(argument(node, 2, "dim", 0) == 1)
    if calls_function(node, (operator.getitem,)):
        source = cast(fx.Node, node.args[0])
        return source not in values.shapes and isinstance(node.args[1], int)  # one of split's parts
    return calls_method(node, *_POINTWISE_METHODS)


def _averages_positions(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node reduces over all positions, in no particular order."""
    if isinstance(module_of(graph, node), nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        return True  # to one position each: the caller has checked the shape
    if calls_function(node, (functional.adaptive_avg_pool2d, functional.adaptive_max_pool2d)):
        return True
    if calls_method(node, "mean") or calls_function(node, (torch.mean,)):
        over = argument(node, 1, "dim")
        return isinstance(over, tuple | list) and tuple(over) in _WHOLE
    return False


def _plan(graph: fx.GraphModule, values: Values) -> _Plan | None:
    """Follow the rotated image down to a global pooling; return None if it does not end there."""
    plan = _Plan()
    calls = Counter(n.target for n in graph.graph.nodes if n.op == "call_module")
    (image, *others) = [n for n in graph.graph.nodes if n.op == "placeholder"]
    if others and any(n in values.shapes for n in others):
        return None
    rotated = {image}
    for node in graph.graph.nodes:
        read = [n for n in node.all_input_nodes if n in rotated]
        if not read:
            continue
        module = module_of(graph, node)
        shape = values.shapes.get(node, ())
        single = len(shape) == 2 or shape[2:] == (1, 1)
        if single and _averages_positions(graph, node):
            continue
        if isinstance(module, nn.ConstantPad2d):
            if module.value != 0 or not is_plain_conv(module_of(graph, only_user(node))):
                return None
            plan.pads[node] = cast(tuple[int, int, int, int], tuple(module.padding))
        elif is_plain_conv(module):
            if calls[node.target] > 1 or not _plan_convolution(module, node, read[0], values, plan):
                return None
        elif not _keeps_positions(graph, node, rotated, values):
            return None
        # A single position is the same when rotated.
        if not single:
            rotated.add(node)
    return plan if plan.pads else None


def _rotated_layer(layer: nn.Conv2d, padding: tuple[int, int]) -> nn.Conv2d:
    """Return `layer` with its kernels rotated by 180 degrees."""
    weight = layer.weight.detach()
    if layer.kernel_size != (1, 1):
        weight = weight.flip((2, 3)).contiguous()
    new = with_weights(layer, weight, layer.bias)
    new.padding = padding
    new._reversed_padding_repeated_twice = [p for p in reversed(padding) for _ in range(2)]
    return new


def flip_same_padding(graph: fx.GraphModule, example: Example) -> int:
    """Rotate the image and every kernel by 180 degrees; return how many pads that removed.

    Only where everything between the image and a global pooling is independent of orientation.
    """
    values = observe(graph, example)
    plan = _plan(graph, values)
    if plan is None:
        return 0
    for node, padding in plan.padding.items():
        layer = module_of(graph, node)
        assert is_plain_conv(layer)
        give_own_module(graph, node, "turned", _rotated_layer(layer, padding))
    for node in plan.pads:
        replace_node(graph, node, cast(fx.Node, node.args[0]))
    image = next(n for n in graph.graph.nodes if n.op == "placeholder")
    readers = list(image.users)
    with graph.graph.inserting_after(image):
        rotated = graph.graph.call_method("flip", (image, [2, 3]))
    for reader in readers:
        reader.replace_input_with(image, rotated)
    tidy(graph)
    return len(plan.pads)
