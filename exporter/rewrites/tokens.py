"""Compute only the tokens that are read: the class token, after the last block's keys and values.

Starting from `x[:, i]`, the reading is followed upwards through whatever treats tokens apart
(norms, MLP, projections, residual sums, rows of attention).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, fx, nn

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
from .layers import ACTIVATIONS, DOES_NOTHING, is_plain_linear, part_of

# An input of a node, and the dimension of it along which only the first tokens are read.
_Read = tuple[fx.Node, int]


# --- what a node reads ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wanted:
    """Only some places along `dim` of what `node` gives are wanted."""

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
        # What is read again as another input is read as a whole there.
        return None if first in others else [(cast(fx.Node, first), dim)]


def _of_layer_norm(wanted: _Wanted) -> list[_Read] | None:
    # timm's subclasses differ in how they cast only.
    over = len(cast(nn.LayerNorm, wanted.module).normalized_shape)
    return wanted.of_first_input(wanted.dim) if wanted.dim < wanted.rank - over else None


def _of_linear(wanted: _Wanted) -> list[_Read] | None:
    return wanted.of_first_input(wanted.dim) if wanted.dim < wanted.rank - 1 else None


def _of_elementwise(wanted: _Wanted) -> list[_Read] | None:
    """Inputs may have fewer dimensions, or one place that is read for all."""
    found = []
    for given in wanted.node.all_input_nodes:
        shape = wanted.values.shapes.get(given, ())
        at = wanted.dim - (wanted.rank - len(shape))
        if at >= 0 and shape[at] == wanted.shape[wanted.dim]:
            found.append((given, at))
    return found


def _of_product(wanted: _Wanted) -> list[_Read] | None:
    """Rows of a product are products of rows of its left side."""
    right = cast(fx.Node, wanted.node.args[1])
    rows = wanted.dim == wanted.rank - 2 and len(wanted.values.shapes[right]) == wanted.rank
    return wanted.of_first_input(wanted.dim) if rows else None


def _of_attention(wanted: _Wanted) -> list[_Read] | None:
    """Rows of attention are those of its queries."""
    options = wanted.node.kwargs
    plain = options.get("attn_mask") is None and not options.get("is_causal")
    rows = plain and len(wanted.node.args) == 3 and wanted.dim == wanted.rank - 2
    return wanted.of_first_input(wanted.dim) if rows else None


def _of_softmax(wanted: _Wanted) -> list[_Read] | None:
    over = argument(wanted.node, 1, "dim")
    if not isinstance(over, int) or over % wanted.rank == wanted.dim:
        return None
    return wanted.of_first_input(wanted.dim)


def _of_transpose(wanted: _Wanted) -> list[_Read] | None:
    one, other = (cast(int, n) % wanted.rank for n in wanted.node.args[1:])
    return wanted.of_first_input({one: other, other: one}.get(wanted.dim, wanted.dim))


def _of_reshape(wanted: _Wanted) -> list[_Read] | None:
    """The dimension must be one before as well, behind equally many places."""
    before = wanted.values.shapes.get(cast(fx.Node, wanted.node.args[0]))
    if before is None or len(wanted.node.args) != wanted.rank + 1:
        return None
    shape, dim = wanted.shape, wanted.dim
    for at in range(len(before)):
        outer = torch.Size(before[:at]).numel() == torch.Size(shape[:dim]).numel()
        if outer and before[at] == shape[dim]:
            return wanted.of_first_input(at)
    return None


def _is_layer(kinds: type | tuple[type, ...]) -> Callable[[_Wanted], bool]:
    return lambda wanted: isinstance(wanted.module, kinds)


def _calls(*functions: Any) -> Callable[[_Wanted], bool]:
    return lambda wanted: calls_function(wanted.node, functions)


# Kind of node -> which places of its inputs it reads; None: it mixes those that are wanted.
_RULES: tuple[tuple[Callable[[_Wanted], bool], Callable[[_Wanted], list[_Read] | None]], ...] = (
    (_is_layer((*DOES_NOTHING, *ACTIVATIONS)), lambda wanted: wanted.of_first_input(wanted.dim)),
    (_is_layer(nn.LayerNorm), _of_layer_norm),
    (lambda wanted: is_plain_linear(wanted.module), _of_linear),
    (_calls(*ELEMENTWISE), _of_elementwise),
    (_calls(*MATMULS), _of_product),
    (_calls(functional.scaled_dot_product_attention), _of_attention),
    (lambda wanted: takes_softmax(wanted.node), _of_softmax),
    (lambda wanted: calls_method(wanted.node, "transpose"), _of_transpose),
    (lambda wanted: reshapes(wanted.node), _of_reshape),
)


def _reads(wanted: _Wanted) -> list[_Read] | None:
    """What a node reads of its inputs; None: it mixes places, or is not known not to."""
    if wanted.node not in wanted.values.shapes:
        return None
    if wanted.module is not None:
        inputs = wanted.node.args
        if len(inputs) != 1 or wanted.node.kwargs or not isinstance(inputs[0], fx.Node):
            return None
    rule = next((rule for is_kind, rule in _RULES if is_kind(wanted)), None)
    return None if rule is None else rule(wanted)


# --- from what is read, upwards ------------------------------------------------------------------


def _sink(node: fx.Node, values: Values) -> tuple[int, int] | None:
    """Recognise `x[:, i]`, which reads token i: (dimension of x, tokens needed)."""
    if not calls_function(node, (operator.getitem,)):
        return None
    given, index = node.args
    if not isinstance(given, fx.Node) or len(values.shapes.get(given, ())) != 3:
        return None
    if isinstance(index, tuple) and len(index) == 2 and index[0] == slice(None):
        token = index[1]
        if isinstance(token, int) and token >= 0:
            return 1, token + 1
    return None


def _narrowed(
    graph: fx.GraphModule, sinks: dict[fx.Node, tuple[int, int]], tokens: int, values: Values
) -> tuple[dict[fx.Node, int], dict[fx.Node, list[_Read]]]:
    """Find the nodes of which only the first tokens are read: along which dimension, from what."""
    narrowed: dict[fx.Node, int] = {}
    reads: dict[fx.Node, list[_Read]] = {}
    for node in reversed(list(graph.graph.nodes)):
        places = set()
        for user in node.users:
            if user in sinks:
                places.add(sinks[user][0])
            elif user in narrowed:
                places |= {at for given, at in reads[user] if given is node} or {-1}
            else:
                places.add(-1)
        if len(places) != 1 or -1 in places:
            continue
        dim = places.pop()
        passed = _reads(_Wanted(graph, node, dim, values))
        if passed is not None and values.shapes[node][dim] > tokens:
            narrowed[node], reads[node] = dim, passed
    return narrowed, reads


def keep_read_tokens(graph: fx.GraphModule, example: Tensor) -> int:
    """Compute only the class token after the last block's keys and values.

    Where the reading ends, the other tokens are left out; where q is a part of one Linear with k
    and v, that Linear is split. Returns how many linear layers take fewer tokens.
    """
    values = observe(graph, example)
    nodes = list(graph.graph.nodes)
    sinks = {node: found for node in nodes if (found := _sink(node, values)) is not None}
    if not sinks:
        return 0
    tokens = max(count for _, count in sinks.values())
    narrowed, reads = _narrowed(graph, sinks, tokens, values)
    # Without a Linear or an attention among them there is nothing to gain.
    count = sum(is_plain_linear(module_of(graph, node)) for node in narrowed)
    if not count:
        return 0
    cut: dict[_Read, fx.Node] = {}
    for node in nodes:
        if node not in narrowed:
            continue
        for given, at in reads[node]:
            if given in narrowed:
                continue
            if (given, at) not in cut:
                cut[given, at] = _narrow(graph, given, at, tokens)
            node.replace_input_with(given, cut[given, at])
        if reshapes(node):
            node.update_arg(narrowed[node] + 1, tokens)
    for (given, _), sliced in cut.items():
        qkv = fused_qkv(graph, given)
        if qkv is not None:
            _split_qkv(graph, qkv, sliced, tokens)
    tidy(graph)
    return count


def _narrow(graph: fx.GraphModule, given: fx.Node, dim: int, tokens: int) -> fx.Node:
    with graph.graph.inserting_after(given):
        return graph.graph.call_method("narrow", (given, dim, 0, tokens))


def _split_qkv(graph: fx.GraphModule, qkv: Qkv, sliced: fx.Node, tokens: int) -> None:
    """Compute q for the first tokens only, k and v for all."""
    if any(user is not sliced for user in qkv.parts[0].users):
        return
    linear = qkv.layer(graph)
    width = linear.out_features // 3
    name = str(qkv.linear.target)
    given = cast(fx.Node, qkv.linear.args[0])
    batch, count, _, heads, size = qkv.reshape.args[1:]
    query, rest = f"{name}_q", f"{name}_kv"
    for path, outputs in ((query, slice(0, width)), (rest, slice(width, 3 * width))):
        add_module(graph, path, part_of(linear, outputs, slice(None), bias=True))
    new = graph.graph
    with new.inserting_before(qkv.reshape):
        both = new.call_module(rest, (given,))
        first = new.call_method("narrow", (given, 1, 0, tokens))
        q = new.call_module(query, (first,))
        q = new.call_method("reshape", (q, batch, tokens, heads, size))
        q = new.call_method("transpose", (q, 1, 2))
        shaped = new.call_method("reshape", (both, batch, count, 2, heads, size))
    qkv.permute.update_arg(0, shaped)
    replace_node(graph, sliced, q)
    new.erase_node(qkv.parts[0])
    for index, part in enumerate(qkv.parts[1:]):
        part.update_arg(1, index)
