"""Compute only the tokens that are read: the class token, after the last block's keys and values.

Starting from `x[:, i]`, the read is followed upstream through whatever works on each token alone
(norms, MLP, projections, residual sums, rows of attention).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as functional
from torch import fx, nn

from .attention import Qkv, fused_qkv
from .fx import (
    ELEMENTWISE,
    MATMULS,
    Values,
    add_module,
    argument,
    calls_function,
    calls_method,
    module_of,
    observe,
    replace_node,
    reshapes,
    takes_softmax,
    tidy,
)
from .layers import ACTIVATIONS, NO_OPS, is_plain_linear, part_of
from .watch import Example

# An input of a node, and the dimension of it along which only the first tokens are read.
_Read = tuple[fx.Node, int]


# --- what a node reads ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Demand:
    """Only the first positions along `dim` of the output of `node` are needed."""

    graph: fx.GraphModule
    node: fx.Node
    dim: int
    values: Values

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shapes[self.node]

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def module(self) -> nn.Module | None:
        return module_of(self.graph, self.node)

    def of_first_input(self, dim: int) -> list[_Read] | None:
        first, *others = self.node.args
        # A value that is another input as well is read as a whole there.
        return None if first in others else [(cast(fx.Node, first), dim)]


def _of_layer_norm(demand: _Demand) -> list[_Read] | None:
    # timm's subclasses differ only in how they cast.
    over = len(cast(nn.LayerNorm, demand.module).normalized_shape)
    return demand.of_first_input(demand.dim) if demand.dim < demand.rank - over else None


def _of_linear(demand: _Demand) -> list[_Read] | None:
    return demand.of_first_input(demand.dim) if demand.dim < demand.rank - 1 else None


def _of_elementwise(demand: _Demand) -> list[_Read] | None:
    """Inputs may have fewer dimensions, or one position that is broadcast."""
    reads = []
    for source in demand.node.all_input_nodes:
        shape = demand.values.shapes.get(source, ())
        at = demand.dim - (demand.rank - len(shape))
        if at >= 0 and shape[at] == demand.shape[demand.dim]:
            reads.append((source, at))
    return reads


def _of_product(demand: _Demand) -> list[_Read] | None:
    """Rows of a product are products of rows of its left side."""
    right = cast(fx.Node, demand.node.args[1])
    rows = demand.dim == demand.rank - 2 and len(demand.values.shapes[right]) == demand.rank
    return demand.of_first_input(demand.dim) if rows else None


def _of_attention(demand: _Demand) -> list[_Read] | None:
    """Rows of attention are those of its queries."""
    options = demand.node.kwargs
    plain = options.get("attn_mask") is None and not options.get("is_causal")
    rows = plain and len(demand.node.args) == 3 and demand.dim == demand.rank - 2
    return demand.of_first_input(demand.dim) if rows else None


def _of_softmax(demand: _Demand) -> list[_Read] | None:
    over = argument(demand.node, 1, "dim")
    if not isinstance(over, int) or over % demand.rank == demand.dim:
        return None
    return demand.of_first_input(demand.dim)


def _of_transpose(demand: _Demand) -> list[_Read] | None:
    one, other = (cast(int, n) % demand.rank for n in demand.node.args[1:])
    return demand.of_first_input({one: other, other: one}.get(demand.dim, demand.dim))


def _of_reshape(demand: _Demand) -> list[_Read] | None:
    """The input must have the same dimension, at the same stride."""
    before = demand.values.shapes.get(cast(fx.Node, demand.node.args[0]))
    if before is None or len(demand.node.args) != demand.rank + 1:
        return None
    shape, dim = demand.shape, demand.dim
    for at in range(len(before)):
        outer = torch.Size(before[:at]).numel() == torch.Size(shape[:dim]).numel()
        if outer and before[at] == shape[dim]:
            return demand.of_first_input(at)
    return None


def _is_layer(kinds: type | tuple[type, ...]) -> Callable[[_Demand], bool]:
    return lambda demand: isinstance(demand.module, kinds)


def _calls(*functions: Any) -> Callable[[_Demand], bool]:
    return lambda demand: calls_function(demand.node, functions)


# Kind of node -> what it reads of its inputs; None: it mixes positions.
_RULES: tuple[tuple[Callable[[_Demand], bool], Callable[[_Demand], list[_Read] | None]], ...] = (
    (_is_layer((*NO_OPS, *ACTIVATIONS)), lambda demand: demand.of_first_input(demand.dim)),
    (_is_layer(nn.LayerNorm), _of_layer_norm),
    (lambda demand: is_plain_linear(demand.module), _of_linear),
    (_calls(*ELEMENTWISE), _of_elementwise),
    (_calls(*MATMULS), _of_product),
    (_calls(functional.scaled_dot_product_attention), _of_attention),
    (lambda demand: takes_softmax(demand.node), _of_softmax),
    (lambda demand: calls_method(demand.node, "transpose"), _of_transpose),
    (lambda demand: reshapes(demand.node), _of_reshape),
)


def _reads(demand: _Demand) -> list[_Read] | None:
    """Return what a node reads of its inputs; None if it mixes positions, or may."""
    if demand.node not in demand.values.shapes:
        return None
    if demand.module is not None:
        inputs = demand.node.args
        if len(inputs) != 1 or demand.node.kwargs or not isinstance(inputs[0], fx.Node):
            return None
    rule = next((rule for is_kind, rule in _RULES if is_kind(demand)), None)
    return None if rule is None else rule(demand)


# --- upstream from the reads ---------------------------------------------------------------------


def _sink(node: fx.Node, values: Values) -> tuple[int, int] | None:
    """Recognize `x[:, i]`, which reads token i: (dimension of x, tokens needed)."""
    if not calls_function(node, (operator.getitem,)):
        return None
    source, index = node.args
    if not isinstance(source, fx.Node) or len(values.shapes.get(source, ())) != 3:
        return None
    if isinstance(index, tuple) and len(index) == 2 and index[0] == slice(None):
        token = index[1]
        if isinstance(token, int) and token >= 0:
            return 1, token + 1
    return None


def _narrowed(
    graph: fx.GraphModule, sinks: dict[fx.Node, tuple[int, int]], tokens: int, values: Values
) -> tuple[dict[fx.Node, int], dict[fx.Node, list[_Read]]]:
    """Find nodes of which only the first tokens are read: their dimension, and what they read."""
    narrowed: dict[fx.Node, int] = {}
    reads: dict[fx.Node, list[_Read]] = {}
    for node in reversed(list(graph.graph.nodes)):
        dims = set()
        for user in node.users:
            if user in sinks:
                dims.add(sinks[user][0])
            elif user in narrowed:
                dims |= {at for source, at in reads[user] if source is node} or {-1}
            else:
                dims.add(-1)
        if len(dims) != 1 or -1 in dims:
            continue
        dim = dims.pop()
        passed = _reads(_Demand(graph, node, dim, values))
        if passed is not None and values.shapes[node][dim] > tokens:
            narrowed[node], reads[node] = dim, passed
    return narrowed, reads


def keep_read_tokens(graph: fx.GraphModule, example: Example) -> int:
    """Compute only the class token after the last block's keys and values.

    Where following the read ends, the input is narrowed to these tokens; if one Linear computes q,
    k and v, it is split. Returns how many linear layers process fewer tokens.
    """
    values = observe(graph, example)
    nodes = list(graph.graph.nodes)
    sinks = {node: sink for node in nodes if (sink := _sink(node, values)) is not None}
    if not sinks:
        return 0
    tokens = max(count for _, count in sinks.values())
    narrowed, reads = _narrowed(graph, sinks, tokens, values)
    # Without a Linear among them there is nothing to gain.
    count = sum(is_plain_linear(module_of(graph, node)) for node in narrowed)
    if not count:
        return 0
    cut: dict[_Read, fx.Node] = {}
    for node in nodes:
        if node not in narrowed:
            continue
        for source, at in reads[node]:
            if source in narrowed:
                continue
            if (source, at) not in cut:
                cut[source, at] = _narrow(graph, source, at, tokens)
            node.replace_input_with(source, cut[source, at])
        if reshapes(node):
            node.update_arg(narrowed[node] + 1, tokens)
    for (source, _), sliced in cut.items():
        qkv = fused_qkv(graph, source)
        if qkv is not None:
            _split_qkv(graph, qkv, sliced, tokens)
    tidy(graph)
    return count


def _narrow(graph: fx.GraphModule, source: fx.Node, dim: int, tokens: int) -> fx.Node:
    with graph.graph.inserting_after(source):
        return graph.graph.call_method("narrow", (source, dim, 0, tokens))


def _split_qkv(graph: fx.GraphModule, qkv: Qkv, sliced: fx.Node, tokens: int) -> None:
    """Compute q for the first tokens, and k and v for all."""
    if any(user is not sliced for user in qkv.parts[0].users):
        return
    linear = qkv.layer(graph)
    width = linear.out_features // 3
    name = str(qkv.linear.target)
    source = cast(fx.Node, qkv.linear.args[0])
    batch, count, _, heads, size = qkv.reshape.args[1:]
    query, rest = f"{name}_q", f"{name}_kv"
    for path, outputs in ((query, slice(0, width)), (rest, slice(width, 3 * width))):
        add_module(graph, path, part_of(linear, outputs, slice(None), bias=True))
    new = graph.graph
    with new.inserting_before(qkv.reshape):
        both = new.call_module(rest, (source,))
        first = new.call_method("narrow", (source, 1, 0, tokens))
        q = new.call_module(query, (first,))
        q = new.call_method("reshape", (q, batch, tokens, heads, size))
        q = new.call_method("transpose", (q, 1, 2))
        shaped = new.call_method("reshape", (both, batch, count, 2, heads, size))
    qkv.permute.update_arg(0, shaped)
    replace_node(graph, sliced, q)
    new.erase_node(qkv.parts[0])
    for index, part in enumerate(qkv.parts[1:]):
        part.update_arg(1, index)
