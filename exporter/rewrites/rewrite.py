"""Exact rewrites that need the whole graph: what reads what, and in which shape.

Each pass takes a traced network and changes it in place, matching structure (operators, shapes and
who reads a value), never names. Like every pass of `prepare`, it is kept only when the outputs stay
equal within the model's own rounding.
"""

from __future__ import annotations

import copy
import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, fx, nn

from .flip import flip_same_padding
from .fx import (
    Values,
    calls_function,
    calls_method,
    give_own_module,
    is_plain_linear,
    module_of,
    observe,
    part_of,
    tidy,
)
from .split import split_wide_layers

_ADDS = (operator.add, operator.iadd, torch.add)
_MULS = (operator.mul, operator.imul, torch.mul)
_ELEMENTWISE = (*_ADDS, *_MULS, operator.sub, operator.truediv, torch.sub, torch.div)
_MATMULS = (torch.matmul, operator.matmul)
_SAME = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
_POINTWISE = (*_SAME, nn.GELU, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.Tanh, nn.Sigmoid)


def _reshapes(node: Any) -> bool:
    return calls_method(node, "reshape") or calls_method(node, "view")


def _takes_softmax(node: Any) -> bool:
    return calls_method(node, "softmax") or calls_function(
        node, (torch.softmax, functional.softmax)
    )


# --- drop what does nothing ----------------------------------------------------------------------


def drop_identities(graph: fx.GraphModule, example: Tensor) -> int:
    """Remove dropout, Identity, and calls that return what they were given or None.

    timm's attention asks twice a block whether there is a mask; without one the answers are None
    and the scores themselves.
    """
    values = observe(graph, example)
    dropped = 0
    for node in list(graph.graph.nodes):
        if isinstance(module_of(graph, node), _SAME) and len(node.all_input_nodes) == 1:
            node.replace_all_uses_with(node.all_input_nodes[0])
        elif node in values.same and not _torch_function(node):
            node.replace_all_uses_with(values.same[node])
        elif node in values.nothing and not _torch_function(node):
            # An argument's default, or a function of such: FX has already decided by it.
            if not node.users:
                continue
            for user in list(node.users):
                _replace_by_none(user, node)
            if node.op == "placeholder":
                continue
        else:
            continue
        graph.graph.erase_node(node)
        dropped += 1
    tidy(graph)
    return dropped


def _replace_by_none(user: fx.Node, node: fx.Node) -> None:
    def mapped(given: fx.Node) -> Any:
        return None if given is node else given

    user.args = cast(Any, fx.map_arg(user.args, mapped))
    user.kwargs = cast(Any, fx.map_arg(user.kwargs, mapped))


def _torch_function(node: fx.Node) -> bool:
    """Whether a node is one of torch's own functions, which may return their input at times."""
    module = getattr(node.target, "__module__", None) or ""
    return node.op == "call_function" and module.split(".")[0] in ("torch", "_operator", "builtins")


# --- fold scales ---------------------------------------------------------------------------------


def _scaled_linear(linear: nn.Linear, scale: Tensor) -> nn.Linear:
    """Return a Linear whose outputs are those of `linear` times `scale` (one per output)."""
    new = copy.copy(linear)
    new._parameters = dict(linear._parameters)
    weight = linear.weight.detach().double() * scale.double()[:, None]
    new.weight = nn.Parameter(weight.to(linear.weight.dtype), requires_grad=False)
    if linear.bias is not None:
        bias = linear.bias.detach().double() * scale.double()
        new.bias = nn.Parameter(bias.to(linear.bias.dtype), requires_grad=False)
    return new


@dataclass(frozen=True)
class _Fused:
    """q, k and v from one Linear: `reshape(B, N, 3, heads, D).permute(2, 0, 3, 1, 4).unbind(0)`."""

    linear: fx.Node
    reshape: fx.Node
    permute: fx.Node
    unbind: fx.Node
    parts: tuple[fx.Node, ...]  # q, k, v


def _fused_qkv(graph: fx.GraphModule, q: Any) -> _Fused | None:
    """Recognise the first of three parts of one Linear's output."""
    if not (
        calls_function(q, (operator.getitem,))
        and q.args[1] == 0
        and calls_method(q.args[0], "unbind")
    ):
        return None
    unbind = q.args[0]
    permute = unbind.args[0]
    if tuple(unbind.args[1:]) not in ((0,), ()) or not calls_method(permute, "permute"):
        return None
    order = permute.args[1:] if len(permute.args) > 2 else tuple(permute.args[1])
    reshape = permute.args[0]
    if tuple(order) != (2, 0, 3, 1, 4) or not (
        calls_method(reshape, "reshape") or calls_method(reshape, "view")
    ):
        return None
    sizes = reshape.args[1:]
    linear = reshape.args[0]
    if len(sizes) != 5 or sizes[2] != 3 or not is_plain_linear(module_of(graph, linear)):
        return None
    chain = (linear, reshape, permute)
    if any(len(node.users) != 1 for node in chain):
        return None
    users = {
        cast(Any, n.args[1]): n for n in unbind.users if calls_function(n, (operator.getitem,))
    }
    if set(users) != {0, 1, 2} or len(unbind.users) != 3:
        return None
    return _Fused(linear, reshape, permute, unbind, (users[0], users[1], users[2]))


def fold_scales(graph: fx.GraphModule, example: Tensor) -> int:
    """Move the attention scale, a constant times q, into the Linear before."""
    folded = 0
    for node in list(graph.graph.nodes):
        if not calls_function(node, _MULS) or len(node.args) != 2:
            continue
        value, factor = node.args
        if isinstance(factor, fx.Node):
            value, factor = factor, value
        if not isinstance(value, fx.Node) or len(value.users) != 1:
            continue
        fused = _fused_qkv(graph, value)
        if fused is None or not isinstance(factor, int | float):
            continue
        linear = cast(nn.Linear, module_of(graph, fused.linear))
        scale = torch.ones(linear.out_features, dtype=torch.float64)
        scale[: linear.out_features // 3] = factor
        give_own_module(graph, fused.linear, "scaled", _scaled_linear(linear, scale))
        node.replace_all_uses_with(value)
        graph.graph.erase_node(node)
        folded += 1
    tidy(graph)
    return folded


@dataclass(frozen=True)
class LayerScale:
    """One `linear(x) * gamma`: the nodes, and where gamma lies."""

    multiply: fx.Node
    linear: fx.Node
    gamma: str


def find_layer_scales(graph: fx.GraphModule) -> list[LayerScale]:
    """Find each learnt factor per channel that multiplies what one Linear gives, and that alone."""
    found = []
    for node in graph.graph.nodes:
        if not calls_function(node, _MULS) or len(node.args) != 2:
            continue
        value, factor = node.args
        if isinstance(factor, fx.Node) and factor.op != "get_attr":
            value, factor = factor, value
        if not isinstance(value, fx.Node) or len(value.users) != 1:
            continue
        if not isinstance(factor, fx.Node) or factor.op != "get_attr":
            continue
        gamma = operator.attrgetter(str(factor.target))(graph)
        module = module_of(graph, value)
        if not isinstance(module, nn.Linear) or not is_plain_linear(module):
            continue
        if isinstance(gamma, Tensor) and tuple(gamma.shape) == (module.out_features,):
            found.append(LayerScale(node, value, str(factor.target)))
    return found


def fold_layer_scales(graph: fx.GraphModule, example: Tensor) -> int:
    """Move LayerScale into the Linear before.

    Not for int8: one grid for all channels is the finer, the more alike they are.
    """
    scales = find_layer_scales(graph)
    for scale in scales:
        gamma = operator.attrgetter(scale.gamma)(graph).detach()
        linear = cast(nn.Linear, module_of(graph, scale.linear))
        give_own_module(graph, scale.linear, "scaled", _scaled_linear(linear, gamma))
        scale.multiply.replace_all_uses_with(scale.linear)
        graph.graph.erase_node(scale.multiply)
    tidy(graph)
    return len(scales)


# --- fold the class token's position -------------------------------------------------------------


def fold_positions(graph: fx.GraphModule, example: Tensor) -> int:
    """Add the class token's position to the token itself, once: `cat([cls, x]) + pos`.

    The patches' positions are then added before the concatenation, to a tensor that is read once.
    """
    folded = 0
    for node in list(graph.graph.nodes):
        if not calls_function(node, _ADDS) or len(node.args) != 2:
            continue
        joined, position = node.args
        if not (calls_function(joined, (torch.cat,)) and len(joined.users) == 1):
            continue
        parts = joined.args[0]
        dim = joined.kwargs.get("dim", joined.args[1] if len(joined.args) > 1 else 0)
        if not (isinstance(position, fx.Node) and position.op == "get_attr" and dim == 1):
            continue
        if (
            len(parts) != 2
            or not calls_method(parts[0], "expand")
            or parts[0].args[0].op != "get_attr"
        ):
            continue
        token = operator.attrgetter(str(parts[0].args[0].target))(graph)
        places = operator.attrgetter(str(position.target))(graph)
        prefix = token.shape[1]
        if token.dim() != 3 or places.dim() != 3 or places.shape[0] != 1:
            continue
        for name, value in (
            ("_token_at_its_place", token + places[:, :prefix]),
            ("_places_of_patches", places[:, prefix:].contiguous()),
        ):
            setattr(graph, name, nn.Parameter(value.detach(), requires_grad=False))
        with graph.graph.inserting_before(parts[0]):
            placed = graph.graph.get_attr("_token_at_its_place")
        with graph.graph.inserting_before(joined):
            rest = graph.graph.get_attr("_places_of_patches")
            patches = graph.graph.call_function(operator.add, (parts[1], rest))
        parts[0].update_arg(0, placed)
        joined.update_arg(0, [parts[0], patches])
        node.replace_all_uses_with(joined)
        graph.graph.erase_node(node)
        folded += 1
        break
    tidy(graph)
    return folded


# --- only the tokens that are read ---------------------------------------------------------------

# One argument of a node is read along `dim` in its first tokens only.
_Demand = tuple[fx.Node, int]


def _sink(node: fx.Node, values: Values) -> tuple[fx.Node, int, int] | None:
    """Recognise `x[:, i]`, which reads token i: (x, dimension, tokens needed)."""
    if not calls_function(node, (operator.getitem,)):
        return None
    given, index = node.args
    if not isinstance(given, fx.Node) or len(values.shapes.get(given, ())) != 3:
        return None
    if isinstance(index, tuple) and len(index) == 2 and index[0] == slice(None):
        token = index[1]
        if isinstance(token, int) and token >= 0:
            return given, 1, token + 1
    return None


def _passed_on(
    graph: fx.GraphModule, node: fx.Node, dim: int, values: Values
) -> list[_Demand] | None:
    """What a node reads of its inputs when only some places along `dim` of it are wanted.

    None: the node mixes these places, or is not known not to.
    """
    shape = values.shapes.get(node)
    if shape is None:
        return None
    rank, size = len(shape), shape[dim]
    module = module_of(graph, node)
    if module is not None:
        given = node.args[0] if len(node.args) == 1 and not node.kwargs else None
        if not isinstance(given, fx.Node):
            return None
        if isinstance(module, _POINTWISE):
            return [(given, dim)]
        if type(module).forward is nn.LayerNorm.forward and isinstance(module, nn.LayerNorm):
            return [(given, dim)] if dim < rank - len(module.normalized_shape) else None
        if isinstance(module, nn.LayerNorm) and dim < rank - len(module.normalized_shape):
            return [(given, dim)]  # timm's subclasses differ in how they cast only
        return [(given, dim)] if is_plain_linear(module) and dim < rank - 1 else None
    if calls_function(node, _ELEMENTWISE):
        found = []
        for given in node.all_input_nodes:
            other = values.shapes.get(given, ())
            at = dim - (rank - len(other))
            if at >= 0 and other[at] == size:
                found.append((given, at))
        return found
    if calls_function(node, _MATMULS):
        left, right = cast(Any, node.args[0]), cast(Any, node.args[1])
        return [(left, dim)] if dim == rank - 2 and len(values.shapes[right]) == rank else None
    if calls_function(node, (functional.scaled_dot_product_attention,)):
        plain = node.kwargs.get("attn_mask") is None and not node.kwargs.get("is_causal")
        ok = plain and len(node.args) == 3 and dim == rank - 2
        return [(cast(fx.Node, node.args[0]), dim)] if ok else None
    if _takes_softmax(node):
        over = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        if not isinstance(over, int) or over % rank == dim:
            return None
        return [(cast(fx.Node, node.args[0]), dim)]
    if calls_method(node, "transpose"):
        given, one, other = cast(Any, node.args)
        swap = {one % rank: other % rank, other % rank: one % rank}
        return [(given, swap.get(dim, dim))]
    if _reshapes(node):
        given = cast(Any, node.args[0])
        before = values.shapes.get(given)
        if before is None or len(node.args) != rank + 1:
            return None
        for at in range(len(before)):
            outer = torch.Size(before[:at]).numel() == torch.Size(shape[:dim]).numel()
            if outer and before[at] == size:
                return [(given, at)]
    return None


def keep_read_tokens(graph: fx.GraphModule, example: Tensor) -> int:
    """Compute only the class token after the last block's keys and values.

    Starting from `x[:, i]`, the reading is followed upwards through whatever treats tokens apart
    (norms, MLP, projections, residual sums, rows of attention). There the other tokens are
    left out; where q is a part of one Linear with k and v, that Linear is split.
    """
    values = observe(graph, example)
    nodes = list(graph.graph.nodes)
    sinks = {node: found for node in nodes if (found := _sink(node, values)) is not None}
    if not sinks:
        return 0
    tokens = max(found[2] for found in sinks.values())
    narrowed: dict[fx.Node, int] = {}
    demands: dict[fx.Node, list[_Demand]] = {}
    for node in reversed(nodes):
        places = set()
        for user in node.users:
            if user in sinks:
                places.add(sinks[user][1])
            elif user in narrowed:
                places |= {at for given, at in demands[user] if given is node} or {-1}
            else:
                places.add(-1)
        if len(places) != 1 or -1 in places:
            continue
        dim = places.pop()
        passed = _passed_on(graph, node, dim, values)
        if passed is None or values.shapes[node][dim] <= tokens:
            continue
        narrowed[node], demands[node] = dim, passed
    # Without a Linear or an attention among them there is nothing to gain.
    count = sum(is_plain_linear(module_of(graph, node)) for node in narrowed)
    if not count:
        return 0
    cut: dict[_Demand, fx.Node] = {}
    for node in nodes:
        if node not in narrowed:
            continue
        for given, at in demands[node]:
            if given in narrowed:
                continue
            if (given, at) not in cut:
                cut[given, at] = _narrow(graph, given, at, tokens)
            node.replace_input_with(given, cut[given, at])
        if _reshapes(node):
            node.update_arg(narrowed[node] + 1, tokens)
    for (given, _), sliced in cut.items():
        fused = _fused_qkv(graph, given)
        if fused is not None:
            _split_qkv(graph, fused, sliced, tokens)
    tidy(graph)
    return count


def _narrow(graph: fx.GraphModule, given: fx.Node, dim: int, tokens: int) -> fx.Node:
    with graph.graph.inserting_after(given):
        return graph.graph.call_method("narrow", (given, dim, 0, tokens))


def _split_qkv(graph: fx.GraphModule, fused: _Fused, sliced: fx.Node, tokens: int) -> None:
    """Compute q for the first tokens only, k and v for all."""
    if any(user is not sliced for user in fused.parts[0].users):
        return
    linear = cast(nn.Linear, module_of(graph, fused.linear))
    width = linear.out_features // 3
    name = str(fused.linear.target)
    given = cast(fx.Node, fused.linear.args[0])
    batch, count, _, heads, size = fused.reshape.args[1:]
    query, rest = f"{name}_q", f"{name}_kv"
    for path, part in ((query, (0, width)), (rest, (width, 3 * width))):
        parent, _, leaf = path.rpartition(".")
        setattr(
            graph.get_submodule(parent),
            leaf,
            part_of(linear, slice(*part), slice(None), True),
        )
    new = graph.graph
    with new.inserting_before(fused.reshape):
        both = new.call_module(rest, (given,))
        first = new.call_method("narrow", (given, 1, 0, tokens))
        q = new.call_module(query, (first,))
        q = new.call_method("reshape", (q, batch, tokens, heads, size))
        q = new.call_method("transpose", (q, 1, 2))
        shaped = new.call_method("reshape", (both, batch, count, 2, heads, size))
    fused.permute.update_arg(0, shaped)
    sliced.replace_all_uses_with(q)
    new.erase_node(sliced)
    new.erase_node(fused.parts[0])
    for index, part_node in enumerate(fused.parts[1:]):
        part_node.update_arg(1, index)


# --- attention as one operator -------------------------------------------------------------------


def _softmax_input(node: Any) -> fx.Node | None:
    """Return what a softmax over the last dimension is taken of."""
    if not _takes_softmax(node):
        return None
    dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    return cast(fx.Node, node.args[0]) if dim == -1 and len(node.users) == 1 else None


def _products(node: Any) -> tuple[fx.Node, fx.Node] | None:
    if not calls_function(node, _MATMULS) or len(node.args) != 2:
        return None
    return cast(tuple[fx.Node, fx.Node], node.args)


def _transposed(node: fx.Node, rank: int) -> fx.Node | None:
    """Return what `node` is the transpose of, in the last two dimensions."""
    if not calls_method(node, "transpose") or len(node.users) != 1:
        return None
    given, one, other = cast(Any, node.args)
    return given if {one % rank, other % rank} == {rank - 1, rank - 2} else None


def fuse_attention(graph: fx.GraphModule, example: Tensor) -> int:
    """Write `softmax(q @ k.transpose(-2, -1)) @ v` as `scaled_dot_product_attention`.

    A factor on q becomes its scale. Attention with a mask or a bias stays: 2.1's fused kernel
    takes none. `python -m tests.benchmarks.attention` prints what the forms cost there.
    """
    values = observe(graph, example)
    fused = 0
    for node in list(graph.graph.nodes):
        products = _products(node)
        scores = _softmax_input(products[0]) if products else None
        inner = _products(scores)
        if products is None or inner is None or len(cast(fx.Node, scores).users) != 1:
            continue
        (query, turned), value = inner, products[1]
        key = _transposed(turned, 4)
        shapes = [values.shapes.get(n, ()) for n in (query, key, value) if n is not None]
        if len(shapes) != 3 or any(len(s) != 4 or s[:2] != shapes[0][:2] for s in shapes):
            continue
        if shapes[2] != shapes[1]:
            continue  # values of another width than the keys
        scale = 1.0
        if calls_function(query, _MULS) and len(query.args) == 2 and len(query.users) == 1:
            given, factor = query.args
            if isinstance(factor, int | float) and isinstance(given, fx.Node):
                query, scale = given, float(factor)
        with graph.graph.inserting_before(node):
            new = graph.graph.call_function(
                functional.scaled_dot_product_attention, (query, key, value), {"scale": scale}
            )
        node.replace_all_uses_with(new)
        graph.graph.erase_node(node)
        fused += 1
    tidy(graph)
    return fused


def open_attention(graph: fx.GraphModule, softmax: Callable[[float], str]) -> int:
    """Write fused attention out again, around another softmax; return how many.

    `softmax(scale)` adds a module to `graph` that takes scores, and names it. Keys are laid out
    anew where there are many queries: on 2.1's ARM build the product then takes a sixth less.
    """
    opened = 0
    for node in list(graph.graph.nodes):
        if not calls_function(node, (functional.scaled_dot_product_attention,)):
            continue
        scale = node.kwargs.get("scale")
        if len(node.args) != 3 or set(node.kwargs) != {"scale"} or not isinstance(scale, float):
            continue
        query, key, value = cast(tuple[fx.Node, ...], node.args)
        name = softmax(scale)
        with graph.graph.inserting_before(node):
            turned = graph.graph.call_method("transpose", (key, -2, -1))
            if not _few_queries(query):
                turned = graph.graph.call_method("contiguous", (turned,))
            scores = graph.graph.call_function(operator.matmul, (query, turned))
            weights = graph.graph.call_module(name, (scores,))
            new = graph.graph.call_function(operator.matmul, (weights, value))
        node.replace_all_uses_with(new)
        graph.graph.erase_node(node)
        opened += 1
    tidy(graph)
    return opened


def _few_queries(query: fx.Node) -> bool:
    """Whether `keep_read_tokens` left a few queries only: `narrow`, then steps of shape."""
    while calls_method(query, "transpose") or calls_method(query, "reshape"):
        query = cast(fx.Node, query.args[0])
    if query.op == "call_module" and len(query.all_input_nodes) == 1:
        query = query.all_input_nodes[0]
    return calls_method(query, "narrow")


@dataclass(frozen=True)
class Attention:
    """The linear layers around one attention: where q, k and v come from, where values go.

    `qkv` gives q, k and v one after the other, each `heads x size` wide. `projection` is "" where
    something lies between the attention and its projection.
    """

    qkv: str
    projection: str


def find_attentions(graph: fx.GraphModule) -> list[Attention]:
    """Find attention, fused or written out, whose q and k meet in one product and nowhere else."""
    found = []
    for node in graph.graph.nodes:
        fused = _fused_qkv(graph, node)
        if fused is None:
            continue
        query, key, value = (_only_user(graph, part) for part in fused.parts)
        if query is not None and calls_function(query, _MULS) and _constant_factor(query):
            query = _only_user(graph, query)
        turned = calls_method(key, "transpose")
        if turned:
            key = _only_user(graph, key)
            key = _only_user(graph, key) if calls_method(key, "contiguous") else key
        # Fused attention turns the keys itself; a product takes them turned.
        products = _MATMULS if turned else (functional.scaled_dot_product_attention,)
        if query is None or query is not key or not calls_function(query, products):
            continue
        projection = value if calls_function(value, products) else None
        for step in ("transpose", "reshape"):
            projection = _only_user(graph, projection)
            projection = projection if calls_method(projection, step) else None
        projection = _only_user(graph, projection)
        found.append(
            Attention(
                qkv=str(fused.linear.target),
                projection=str(projection.target)
                if projection is not None and is_plain_linear(module_of(graph, projection))
                else "",
            )
        )
    names = Counter(name for a in found for name in (a.qkv, a.projection) if name)
    return [a for a in found if names[a.qkv] == 1 and names.get(a.projection, 1) == 1]


def _constant_factor(node: fx.Node) -> bool:
    return any(isinstance(argument, int | float) for argument in node.args)


def _only_user(graph: fx.GraphModule, node: Any) -> fx.Node | None:
    """Return the one node that reads `node`, looking through Identity and dropout."""
    while isinstance(node, fx.Node) and len(node.users) == 1:
        (user,) = node.users
        if not isinstance(module_of(graph, user), _SAME):
            return user
        node = user
    return None


# --- the list ------------------------------------------------------------------------------------

Rewrite = Callable[[fx.GraphModule, Tensor], int]

# In this order: what does nothing hides the patterns that the others look for.
REWRITES: dict[str, tuple[Rewrite, str]] = {
    "drop-identities": (drop_identities, "calls that do nothing dropped"),
    "fold-scales": (fold_scales, "attention scales folded into linear layers"),
    "fold-layer-scales": (fold_layer_scales, "LayerScales folded into linear layers"),
    "fold-positions": (fold_positions, "class token folded with its position"),
    "keep-read-tokens": (keep_read_tokens, "linear layers on the tokens that are read only"),
    "fuse-attention": (fuse_attention, "attentions written as one operator"),
    "flip-same-padding": (flip_same_padding, "one-sided paddings of convolutions made equal"),
    "split-wide-layers": (split_wide_layers, "layers split into parts that fit a core's cache"),
}

# What a pass writes and not every device runtime has.
NEEDS_OPERATOR = {
    "fuse-attention": "aten::scaled_dot_product_attention",
    "flip-same-padding": "aten::flip",
}
