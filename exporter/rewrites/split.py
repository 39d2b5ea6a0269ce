"""Split layers whose weights outgrow a core's cache.

XNNPACK computes a matrix product a few rows at a time (6 on ARM64, 7 with AVX-512) and reads all
weights in each round, on every thread. Weights that stay in the core's second-level cache between
rounds cost nothing more; larger ones are fetched from slower memory in every round, which then
limits the product. Parts that fit, one after the other, fetch each weight once.

`python -m tests.benchmarks.passes` prints the gain, here and in cache misses on ARM64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import fx, nn

from .fx import (
    ACTIVATION_CALLS,
    CLAMP_CALLS,
    Values,
    add_module,
    calls_function,
    module_of,
    observe,
    only_user,
    tidy,
)
from .layers import ACTIVATIONS, CLAMPS, is_plain_conv, is_plain_linear, part_of
from .watch import Example

# Second-level caches have 0.25 to 2 MiB per core, and the rows and results need room beside the
# weights.
PIECE_BYTES = 512 * 1024
# Weights up to this size are not split: most of them stay in the cache.
WHOLE_BYTES = 1024 * 1024
# With fewer rows there are too few rounds to gain anything.
FEWEST_ROWS = 24
# XNNPACK packs weights for this many outputs at once; a piece of another width computes padding.
_OUTPUTS_AT_ONCE = 16


@dataclass(frozen=True)
class _Pair:
    """Two linear layers with only elementwise functions between them: an MLP."""

    first: fx.Node
    between: tuple[fx.Node, ...]
    second: fx.Node


def _bytes(layer: nn.Linear | nn.Conv2d) -> int:
    return layer.weight.numel() * layer.weight.element_size()


def _slices(size: int, count: int) -> list[slice]:
    """Cut `size` into at most `count` nearly equal pieces of whole groups of outputs."""
    groups = math.ceil(size / _OUTPUTS_AT_ONCE)
    count = min(count, groups)
    cuts = [min(size, _OUTPUTS_AT_ONCE * (groups * i // count)) for i in range(count + 1)]
    return [slice(first, last) for first, last in itertools.pairwise(cuts)]


def _layer(graph: fx.GraphModule, node: fx.Node, values: Values) -> nn.Linear | nn.Conv2d | None:
    """Return the layer of a node if splitting it is possible and can pay off."""
    module = module_of(graph, node)
    if len(node.args) != 1 or node.kwargs or node not in values.shapes:
        return None
    shape = values.shapes[node]
    if is_plain_linear(module):
        rows = math.prod(shape[1:-1])
        return module if rows >= FEWEST_ROWS else None
    if is_plain_conv(module) and module.groups == 1 and len(shape) == 4:
        return module if shape[2] * shape[3] >= FEWEST_ROWS else None
    return None


def _is_one_of(
    graph: fx.GraphModule, node: fx.Node, modules: tuple[type, ...], calls: tuple[Any, ...]
) -> bool:
    alone = len(node.all_input_nodes) == 1
    return alone and (isinstance(module_of(graph, node), modules) or calls_function(node, calls))


def _pair(graph: fx.GraphModule, first: fx.Node, values: Values) -> _Pair | None:
    """Find the second Linear of an MLP that begins with `first`."""
    between: list[fx.Node] = []
    node = only_user(first)
    while node is not None and _is_one_of(graph, node, ACTIVATIONS, ACTIVATION_CALLS):
        between.append(node)
        node = only_user(node)
    second = None if node is None else _layer(graph, node, values)
    if node is None or not between or not isinstance(second, nn.Linear):
        return None
    return _Pair(first, tuple(between), node)


def _add_part(
    graph: fx.GraphModule, node: fx.Node, index: int, source: fx.Node, part: nn.Module
) -> fx.Node:
    """Call `part` of the layer of `node` on `source`; one that is called twice is split once."""
    name = f"{node.target}_part{index}"
    parent, _, leaf = name.rpartition(".")
    if not hasattr(graph.get_submodule(parent), leaf):
        add_module(graph, name, part)
    return graph.graph.call_module(name, (source,))


def _instead(value: fx.Node, _: fx.Node) -> fx.Node:
    return value


def _apply(graph: fx.GraphModule, steps: Sequence[fx.Node], value: fx.Node) -> fx.Node:
    for step in steps:
        value = graph.graph.node_copy(step, partial(_instead, value))
    return value


def _split_pair(graph: fx.GraphModule, pair: _Pair) -> None:
    """Compute an MLP as a sum over parts of its hidden features.

    Nothing has to be concatenated, and only one part of the hidden features exists at a time.
    """
    first, second = module_of(graph, pair.first), module_of(graph, pair.second)
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    (source,) = pair.first.all_input_nodes
    count = math.ceil(max(_bytes(first), _bytes(second)) / PIECE_BYTES)
    whole = slice(None)
    with graph.graph.inserting_before(pair.second):
        total: fx.Node | None = None
        for index, hidden in enumerate(_slices(first.out_features, count)):
            part = part_of(first, hidden, whole, bias=True)
            value = _apply(graph, pair.between, _add_part(graph, pair.first, index, source, part))
            part = part_of(second, whole, hidden, bias=index == 0)
            value = _add_part(graph, pair.second, index, value, part)
            if total is not None:
                value = graph.graph.call_method("add_", (total, value))
            total = value
    assert total is not None
    pair.second.replace_all_uses_with(total)


def _split_alone(graph: fx.GraphModule, node: fx.Node, layer: nn.Linear | nn.Conv2d) -> None:
    """Compute the outputs of a layer part by part and concatenate them."""
    (source,) = node.all_input_nodes
    count = math.ceil(_bytes(layer) / PIECE_BYTES)
    # XNNPACK fuses a clamp into the product, but not across a concatenation.
    clamp = only_user(node)
    clamped = clamp is not None and _is_one_of(graph, clamp, CLAMPS, CLAMP_CALLS)
    steps = [clamp] if clamp is not None and clamped else []
    last = steps[-1] if steps else node
    with graph.graph.inserting_before(last):
        parts = [
            _apply(
                graph,
                steps,
                _add_part(graph, node, index, source, part_of(layer, rows, slice(None), bias=True)),
            )
            for index, rows in enumerate(_slices(layer.weight.shape[0], count))
        ]
        dim = -1 if isinstance(layer, nn.Linear) else 1
        joined = graph.graph.call_function(torch.cat, (parts, dim))
    last.replace_all_uses_with(joined)


def split_wide_layers(graph: fx.GraphModule, example: Example) -> int:
    """Split each layer of more than WHOLE_BYTES into parts of PIECE_BYTES; return how many.

    Two linear layers with an activation between them are split along the hidden features, which
    changes the order of summation; any other layer along its outputs, which changes no bit.
    """
    values = observe(graph, example)
    split = 0
    done: set[fx.Node] = set()
    for node in list(graph.graph.nodes):
        layer = _layer(graph, node, values)
        if layer is None or node in done:
            continue
        pair = _pair(graph, node, values) if isinstance(layer, nn.Linear) else None
        if pair is not None:
            second = module_of(graph, pair.second)
            assert isinstance(second, nn.Linear)
            if max(_bytes(layer), _bytes(second)) > WHOLE_BYTES:
                _split_pair(graph, pair)
                done |= {pair.second}
                split += 2
        elif _bytes(layer) > WHOLE_BYTES:
            _split_alone(graph, node, layer)
            split += 1
    tidy(graph)
    return split
