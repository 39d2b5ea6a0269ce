"""Compute a network on the picture upside down, where that makes its padding free.

TensorFlow pads "same" convolutions of stride two with one row and column more after the picture
than before it. PyTorch's convolutions pad both sides alike, so each such layer first copies its
input into a larger tensor; in int8 the copy moreover is float, between two conversions. But a
convolution with equal padding does not look at every row it pads: what floor division leaves over
is on the far side. So on the picture turned by 180 degrees, with every kernel turned as well, equal
padding (the larger of the two) computes exactly what was wanted, and only the picture is copied.

`python -m tests.benchmarks.passes` prints what this is worth.
"""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as functional
from torch import Tensor, fx, nn

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
from .layers import ACTIVATIONS, DOES_NOTHING, is_plain_conv, with_weights

# Layers and methods that treat places apart: turned input, turned output.
_POINTWISE = (*DOES_NOTHING, *ACTIVATIONS, nn.BatchNorm2d)
_POINTWISE_METHODS = ("contiguous", "clone", "relu", "relu_", "sigmoid", "sigmoid_", "tanh")
_WHOLE = {(2, 3), (3, 2), (-2, -1), (-1, -2)}


@dataclass
class _Plan:
    """What would have to change: equal paddings of convolutions, and pads that go."""

    padding: dict[fx.Node, tuple[int, int]] = field(default_factory=dict)
    pads: dict[fx.Node, tuple[int, int, int, int]] = field(default_factory=dict)


def _equal_padding(size: int, out: int, before: int, layer: nn.Conv2d, axis: int) -> int | None:
    """Return the padding of both sides that gives `out` places on the turned input, or None.

    The first place of the turned input is the last one of the input as it is: it starts where the
    last window ends.
    """
    stride = int(layer.stride[axis])
    reach = int(layer.dilation[axis]) * (int(layer.kernel_size[axis]) - 1) + 1
    padding = (out - 1) * stride + reach - size - before
    fits = padding >= 0 and (size + 2 * padding - reach) // stride + 1 == out
    return padding if fits else None


def _plan_convolution(
    layer: nn.Conv2d, node: fx.Node, given: fx.Node, values: Values, plan: _Plan
) -> bool:
    """Find the padding of one convolution on its turned input; False where there is none."""
    left, _, top, _ = plan.pads.get(given, (0, 0, 0, 0))
    source = cast(fx.Node, given.args[0]) if given in plan.pads else given
    found = [
        _equal_padding(
            values.shapes[source][2 + axis],
            values.shapes[node][2 + axis],
            before + int(layer.padding[axis]),
            layer,
            axis,
        )
        for axis, before in enumerate((top, left))
    ]
    if found[0] is None or found[1] is None:
        return False
    plan.padding[node] = (found[0], found[1])
    return True


def _keeps_places(
    graph: fx.GraphModule, node: fx.Node, turned: set[fx.Node], values: Values
) -> bool:
    """Whether a node, of turned inputs, gives turned outputs without being changed."""
    module = module_of(graph, node)
    if module is not None:
        return isinstance(module, _POINTWISE) and not module.training
    if calls_function(node, ACTIVATION_CALLS):
        return True
    if calls_function(node, ELEMENTWISE) or calls_method(node, "mul_"):
        # What is not turned has to be the same everywhere: numbers, gates, factors per channel.
        shape = values.shapes[node]
        return all(
            values.shapes.get(n) == shape
            if n in turned
            else values.shapes.get(n, (1, 1))[-2:] in ((), (1,), (1, 1))
            for n in node.all_input_nodes
        )
    if calls_function(node, (torch.cat,)):
        return argument(node, 1, "dim", 0) == 1 and all(n in turned for n in node.all_input_nodes)
    if calls_function(node, (torch.split,)) or calls_method(node, "split"):
        return bool(argument(node, 2, "dim", 0) == 1)
    if calls_function(node, (operator.getitem,)):
        given = cast(fx.Node, node.args[0])
        return given not in values.shapes and isinstance(node.args[1], int)  # one of split's parts
    return calls_method(node, *_POINTWISE_METHODS)


def _averages_places(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node takes all places together, in no order."""
    if isinstance(module_of(graph, node), nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        return True  # to one place each: the caller has looked at the shape
    if calls_function(node, (functional.adaptive_avg_pool2d, functional.adaptive_max_pool2d)):
        return True
    if calls_method(node, "mean") or calls_function(node, (torch.mean,)):
        over = argument(node, 1, "dim")
        return isinstance(over, tuple | list) and tuple(over) in _WHOLE
    return False


def _plan(graph: fx.GraphModule, values: Values) -> _Plan | None:
    """Follow the turned picture down to where its places are averaged; None: it does not end so."""
    plan = _Plan()
    calls = Counter(n.target for n in graph.graph.nodes if n.op == "call_module")
    (picture, *others) = [n for n in graph.graph.nodes if n.op == "placeholder"]
    if others and any(n in values.shapes for n in others):
        return None
    turned = {picture}
    for node in graph.graph.nodes:
        read = [n for n in node.all_input_nodes if n in turned]
        if not read:
            continue
        module = module_of(graph, node)
        shape = values.shapes.get(node, ())
        single = len(shape) == 2 or shape[2:] == (1, 1)
        if single and _averages_places(graph, node):
            continue
        if isinstance(module, nn.ConstantPad2d):
            if module.value != 0 or not is_plain_conv(module_of(graph, only_user(node))):
                return None
            plan.pads[node] = cast(tuple[int, int, int, int], tuple(module.padding))
        elif is_plain_conv(module):
            if calls[node.target] > 1 or not _plan_convolution(module, node, read[0], values, plan):
                return None
        elif not _keeps_places(graph, node, turned, values):
            return None
        # One place is the same turned.
        if not single:
            turned.add(node)
    return plan if plan.pads else None


def _turned_layer(layer: nn.Conv2d, padding: tuple[int, int]) -> nn.Conv2d:
    """Return `layer` with its kernels turned by 180 degrees."""
    weight = layer.weight.detach()
    if layer.kernel_size != (1, 1):
        weight = weight.flip((2, 3)).contiguous()
    new = with_weights(layer, weight, layer.bias)
    new.padding = padding
    new._reversed_padding_repeated_twice = [p for p in reversed(padding) for _ in range(2)]
    return new


def flip_same_padding(graph: fx.GraphModule, example: Tensor) -> int:
    """Turn the picture and every kernel by 180 degrees; return how many paddings that made equal.

    Only where all between the picture and a global pooling treats places alike, whichever way up.
    """
    values = observe(graph, example)
    plan = _plan(graph, values)
    if plan is None:
        return 0
    for node, padding in plan.padding.items():
        layer = module_of(graph, node)
        assert is_plain_conv(layer)
        give_own_module(graph, node, "turned", _turned_layer(layer, padding))
    for node in plan.pads:
        replace_node(graph, node, cast(fx.Node, node.args[0]))
    picture = next(n for n in graph.graph.nodes if n.op == "placeholder")
    readers = list(picture.users)
    with graph.graph.inserting_after(picture):
        turned = graph.graph.call_method("flip", (picture, [2, 3]))
    for reader in readers:
        reader.replace_input_with(picture, turned)
    tidy(graph)
    return len(plan.pads)
