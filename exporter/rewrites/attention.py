"""Find attention in traced networks, fuse it into one operator, and expand it again."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch.nn.functional as functional
from torch import fx, nn

from .fx import (
    MATMULS,
    MULS,
    argument,
    calls_function,
    calls_method,
    module_of,
    observe,
    only_user,
    replace_node,
    reshapes,
    takes_softmax,
    tidy,
)
from .layers import NO_OPS, is_plain_linear
from .watch import Example

_FUSED = (functional.scaled_dot_product_attention,)

# --- one Linear for q, k and v -------------------------------------------------------------------


@dataclass(frozen=True)
class Qkv:
    """q, k and v from one Linear: `reshape(B, N, 3, heads, D).permute(2, 0, 3, 1, 4).unbind(0)`."""

    linear: fx.Node
    reshape: fx.Node
    permute: fx.Node
    parts: tuple[fx.Node, ...]  # q, k, v

    def layer(self, graph: fx.GraphModule) -> nn.Linear:
        """Return the Linear itself."""
        return cast(nn.Linear, module_of(graph, self.linear))


def fused_qkv(graph: fx.GraphModule, q: Any) -> Qkv | None:
    """Recognize the first of three parts of one Linear's output."""
    if not calls_function(q, (operator.getitem,)) or q.args[1] != 0:
        return None
    unbind = q.args[0]
    if not calls_method(unbind, "unbind") or tuple(unbind.args[1:]) not in ((0,), ()):
        return None
    permute = unbind.args[0]
    if not calls_method(permute, "permute"):
        return None
    order = permute.args[1:] if len(permute.args) > 2 else permute.args[1]
    reshape = permute.args[0]
    if tuple(order) != (2, 0, 3, 1, 4) or not reshapes(reshape):
        return None
    linear, *sizes = reshape.args
    if len(sizes) != 5 or sizes[2] != 3 or not is_plain_linear(module_of(graph, linear)):
        return None
    if any(only_user(node) is None for node in (linear, reshape, permute)):
        return None
    parts = {n.args[1]: n for n in unbind.users if calls_function(n, (operator.getitem,))}
    if set(parts) != {0, 1, 2} or len(unbind.users) != 3:
        return None
    return Qkv(linear, reshape, permute, (parts[0], parts[1], parts[2]))


# --- attention as one operator -------------------------------------------------------------------


def _softmax_input(node: Any) -> fx.Node | None:
    """Return the input of a softmax over the last dimension; None for any other node."""
    if not takes_softmax(node) or argument(node, 1, "dim") != -1 or only_user(node) is None:
        return None
    return cast(fx.Node, node.args[0])


def _products(node: Any) -> tuple[fx.Node, fx.Node] | None:
    if not calls_function(node, MATMULS) or len(node.args) != 2:
        return None
    return cast(tuple[fx.Node, fx.Node], node.args)


def _transposed(node: fx.Node, rank: int) -> fx.Node | None:
    """Return the input of a transpose of the last two dimensions; None for any other node."""
    if not calls_method(node, "transpose") or only_user(node) is None:
        return None
    source, one, other = cast(Any, node.args)
    return source if {one % rank, other % rank} == {rank - 1, rank - 2} else None


def fuse_attention(graph: fx.GraphModule, example: Example) -> int:
    """Write `softmax(q @ k.transpose(-2, -1)) @ v` as `scaled_dot_product_attention`.

    A factor on q becomes its scale. Attention with a mask or a bias stays as it is: 2.1's fused
    kernel supports neither. `python -m tests.benchmarks.attention` prints the cost of each form.
    """
    values = observe(graph, example)
    fused = 0
    for node in list(graph.graph.nodes):
        products = _products(node)
        scores = _softmax_input(products[0]) if products else None
        inner = _products(scores)
        if products is None or inner is None or only_user(scores) is None:
            continue
        (query, transposed), value = inner, products[1]
        key = _transposed(transposed, 4)
        shapes = [values.shapes.get(n, ()) for n in (query, key, value) if n is not None]
        if len(shapes) != 3 or any(len(s) != 4 or s[:2] != shapes[0][:2] for s in shapes):
            continue
        if shapes[2] != shapes[1]:
            continue  # the values are wider or narrower than the keys
        scale = 1.0
        if calls_function(query, MULS) and len(query.args) == 2 and only_user(query) is not None:
            source, factor = query.args
            if isinstance(factor, int | float) and isinstance(source, fx.Node):
                query, scale = source, float(factor)
        with graph.graph.inserting_before(node):
            new = graph.graph.call_function(_FUSED[0], (query, key, value), {"scale": scale})
        replace_node(graph, node, new)
        fused += 1
    tidy(graph)
    return fused


# --- attention expanded again --------------------------------------------------------------------


def open_attention(graph: fx.GraphModule, softmax: Callable[[float], str]) -> int:
    """Expand fused attention again, around another softmax; return how often.

    `softmax(scale)` adds a module to `graph` that takes scores, and returns its name. Keys are
    copied into row order where there are many queries: on 2.1's ARM build that makes the product
    a sixth cheaper.
    """
    opened = 0
    for node in list(graph.graph.nodes):
        if not calls_function(node, _FUSED):
            continue
        scale = node.kwargs.get("scale")
        if len(node.args) != 3 or set(node.kwargs) != {"scale"} or not isinstance(scale, float):
            continue
        query, key, value = cast(tuple[fx.Node, ...], node.args)
        name = softmax(scale)
        with graph.graph.inserting_before(node):
            transposed = graph.graph.call_method("transpose", (key, -2, -1))
            if not _few_queries(query):
                transposed = graph.graph.call_method("contiguous", (transposed,))
            scores = graph.graph.call_function(operator.matmul, (query, transposed))
            weights = graph.graph.call_module(name, (scores,))
            new = graph.graph.call_function(operator.matmul, (weights, value))
        replace_node(graph, node, new)
        opened += 1
    tidy(graph)
    return opened


def _few_queries(query: fx.Node) -> bool:
    """Whether `keep_read_tokens` left only a few queries: `narrow`, then reshapes."""
    while calls_method(query, "transpose", "reshape"):
        query = cast(fx.Node, query.args[0])
    if query.op == "call_module" and len(query.all_input_nodes) == 1:
        query = query.all_input_nodes[0]
    return calls_method(query, "narrow")


# --- the layers around attention -----------------------------------------------------------------


@dataclass(frozen=True)
class Attention:
    """The linear layers around one attention: where q, k and v come from, where values go.

    `qkv` gives q, k and v one after the other, each `heads x size` wide. `projection` is "" where
    another layer lies between the attention and its projection.
    """

    qkv: str
    projection: str


def find_attentions(graph: fx.GraphModule) -> list[Attention]:
    """Find attention, fused or expanded, whose q and k are read by one product and nothing else."""
    attentions = []
    for node in graph.graph.nodes:
        qkv = fused_qkv(graph, node)
        if qkv is None:
            continue
        query, key, value = (_reader(graph, part) for part in qkv.parts)
        if query is not None and calls_function(query, MULS) and _constant_factor(query):
            query = _reader(graph, query)
        transposed = calls_method(key, "transpose")
        if transposed:
            key = _reader(graph, key)
            key = _reader(graph, key) if calls_method(key, "contiguous") else key
        # Fused attention transposes the keys itself; a product takes them transposed.
        products = MATMULS if transposed else _FUSED
        if query is None or query is not key or not calls_function(query, products):
            continue
        projection = value if calls_function(value, products) else None
        for step in ("transpose", "reshape"):
            projection = _reader(graph, projection)
            projection = projection if calls_method(projection, step) else None
        projection = _reader(graph, projection)
        plain = is_plain_linear(module_of(graph, projection))
        name = str(projection.target) if projection is not None and plain else ""
        attentions.append(Attention(qkv=str(qkv.linear.target), projection=name))
    names = Counter(name for a in attentions for name in (a.qkv, a.projection) if name)
    return [a for a in attentions if names[a.qkv] == 1 and names.get(a.projection, 1) == 1]


def _constant_factor(node: fx.Node) -> bool:
    return any(isinstance(factor, int | float) for factor in node.args)


def _reader(graph: fx.GraphModule, node: fx.Node | None) -> fx.Node | None:
    """Return the one node that reads `node`, looking through Identity and dropout."""
    user = only_user(node)
    while isinstance(module_of(graph, user), NO_OPS):
        user = only_user(user)
    return user
