"""Merge the class token with its position, at export time."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from .fx import (
    ADDS,
    argument,
    calls_function,
    calls_method,
    only_user,
    replace_node,
    tensor_of,
    tidy,
)
from .watch import Example


@dataclass(frozen=True)
class _Joined:
    """`cat([token.expand(...), patches], 1) + places`, and the tensors behind it."""

    add: fx.Node
    cat: fx.Node
    expand: fx.Node
    patches: fx.Node
    token: Tensor  # 1, tokens, channels
    places: Tensor  # 1, tokens + patches, channels


def _joined(graph: fx.GraphModule, add: fx.Node) -> _Joined | None:
    if not calls_function(add, ADDS) or len(add.args) != 2:
        return None
    cat, position = add.args
    if not calls_function(cat, (torch.cat,)) or only_user(cat) is None:
        return None
    assert isinstance(cat, fx.Node)
    parts = cat.args[0]
    if not isinstance(parts, list | tuple) or len(parts) != 2 or argument(cat, 1, "dim", 0) != 1:
        return None
    expand, patches = parts
    if not calls_method(expand, "expand") or not isinstance(patches, fx.Node):
        return None
    assert isinstance(expand, fx.Node)
    token, places = tensor_of(graph, expand.args[0]), tensor_of(graph, position)
    if token is None or places is None or token.dim() != 3 or places.dim() != 3:
        return None
    return _Joined(add, cat, expand, patches, token, places) if places.shape[0] == 1 else None


def fold_positions(graph: fx.GraphModule, example: Example) -> int:
    """Merge the class token with its position: `cat([cls, x]) + pos`; return how often (0 or 1).

    The patches' positions are then added before the concatenation.
    """
    joined = next((j for n in graph.graph.nodes if (j := _joined(graph, n)) is not None), None)
    if joined is not None:
        prefix = joined.token.shape[1]
        for name, value in (
            ("_token_at_its_place", joined.token + joined.places[:, :prefix]),
            ("_places_of_patches", joined.places[:, prefix:].contiguous()),
        ):
            setattr(graph, name, nn.Parameter(value.detach(), requires_grad=False))
        with graph.graph.inserting_before(joined.expand):
            placed = graph.graph.get_attr("_token_at_its_place")
        with graph.graph.inserting_before(joined.cat):
            rest = graph.graph.get_attr("_places_of_patches")
            patches = graph.graph.call_function(operator.add, (joined.patches, rest))
        joined.expand.update_arg(0, placed)
        joined.cat.update_arg(0, [joined.expand, patches])
        replace_node(graph, joined.add, joined.cat)
    tidy(graph)
    return int(joined is not None)
