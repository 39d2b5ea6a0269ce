"""Fold constant factors into the linear layers before them: attention's scale and LayerScale."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import torch
from torch import fx

from .attention import fused_qkv
from .fx import MULS, calls_function, give_own_module, module_of, replace_node, tensor_of, tidy
from .layers import is_plain_linear, scaled_outputs
from .watch import Example


def fold_scales(graph: fx.GraphModule, example: Example) -> int:
    """Fold the attention scale, a constant times q, into the Linear before it."""
    folded = 0
    for node in list(graph.graph.nodes):
        if not calls_function(node, MULS) or len(node.args) != 2:
            continue
        value, factor = node.args
        if isinstance(factor, fx.Node):
            value, factor = factor, value
        if not isinstance(value, fx.Node) or len(value.users) != 1:
            continue
        qkv = fused_qkv(graph, value)
        if qkv is None or not isinstance(factor, int | float):
            continue
        linear = qkv.layer(graph)
        factors = torch.ones(linear.out_features, dtype=torch.float64)
        factors[: linear.out_features // 3] = factor
        give_own_module(graph, qkv.linear, "scaled", scaled_outputs(linear, factors))
        replace_node(graph, node, value)
        folded += 1
    tidy(graph)
    return folded


@dataclass(frozen=True)
class LayerScale:
    """One `linear(x) * gamma`: the nodes, and the dotted name of gamma."""

    multiply: fx.Node
    linear: fx.Node
    gamma: str


def find_layer_scales(graph: fx.GraphModule) -> list[LayerScale]:
    """Find each learned factor per channel on the output of a Linear that nothing else reads."""
    scales = []
    for node in graph.graph.nodes:
        if not calls_function(node, MULS) or len(node.args) != 2:
            continue
        value, factor = node.args
        if isinstance(factor, fx.Node) and factor.op != "get_attr":
            value, factor = factor, value
        if not isinstance(value, fx.Node) or len(value.users) != 1:
            continue
        gamma, layer = tensor_of(graph, factor), module_of(graph, value)
        if gamma is None or not is_plain_linear(layer):
            continue
        if tuple(gamma.shape) == (layer.out_features,):
            scales.append(LayerScale(node, value, str(factor.target)))
    return scales


def fold_layer_scales(graph: fx.GraphModule, example: Example) -> int:
    """Fold LayerScale into the Linear before it.

    Not for int8, where all channels share one grid: the more similar they are, the finer it is.
    """
    scales = find_layer_scales(graph)
    for scale in scales:
        gamma = operator.attrgetter(scale.gamma)(graph)
        layer = module_of(graph, scale.linear)
        assert is_plain_linear(layer)
        give_own_module(graph, scale.linear, "scaled", scaled_outputs(layer, gamma))
        replace_node(graph, scale.multiply, scale.linear)
    tidy(graph)
    return len(scales)
