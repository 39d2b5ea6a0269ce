"""Norms in operators that XNNPACK takes: products with columns of 1/n, sums, a reciprocal root.

XNNPACK has none, so each would cut the network in two. ExecuTorch's own kernels take the variance
as the mean of squares less the squared mean: where the mean is large beside the spread, digits
cancel, and a poolformerv2, whose GroupNorms are over 200,000 values, came out wrong. Here the mean
is taken away first, as torch does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from .graph import Editor, aten, calls, constant, replace, static_shape, tidy

# Arguments that a call may leave out.
_LAYER_NORM = (None, None, None, None, 1e-5)
_GROUP_NORM = (None, None, None, None, 1e-5)


def plain_layer_norms(exported: ExportedProgram) -> int:
    """Write LayerNorm over the last dimensions in products and sums, in place; return how many."""
    changed = 0
    for node in calls(exported, aten.layer_norm.default):
        given: list[Any] = [*node.args, *_LAYER_NORM[len(node.args) :]]
        x, sizes, weight, bias, eps = given[:5]
        shape = static_shape(x)
        if shape is None:
            continue
        edit = Editor(exported.graph, node)
        rows = shape[: len(shape) - len(sizes)]
        if len(sizes) > 1:
            x = edit(aten.reshape.default, x, [*rows, math.prod(sizes)])
        out = _normalized(exported, edit, x, sizes, eps)
        if len(sizes) > 1:
            out = edit(aten.reshape.default, out, list(shape))
        replace(node, _scaled(edit, out, weight, bias))
        changed += 1
    tidy(exported)
    return changed


def plain_group_norms(exported: ExportedProgram) -> int:
    """Write GroupNorm and InstanceNorm in products and sums, in place; return how many.

    InstanceNorm with statistics of its own is a BatchNorm, and stays.
    """
    changed = 0
    for node in calls(exported, aten.group_norm.default, aten.instance_norm.default):
        given: list[Any] = [*node.args, *_GROUP_NORM[len(node.args) :]]
        x, shape = given[0], static_shape(given[0])
        if shape is None or len(shape) < 3:
            continue
        if node.target is aten.group_norm.default:
            groups, weight, bias, eps = given[1:5]
        elif given[5]:  # of the input, not kept ones
            groups, (weight, bias), eps = shape[1], given[1:3], given[7]
        else:
            continue
        edit = Editor(exported.graph, node)
        sizes = [shape[1] // groups, *shape[2:]]
        x = edit(aten.reshape.default, x, [shape[0], groups, math.prod(sizes)])
        out = _normalized(exported, edit, x, sizes, eps)
        out = edit(aten.reshape.default, out, list(shape))
        channels = [1, shape[1], *(1 for _ in shape[2:])]
        by_channel = [
            one if one is None else edit(aten.reshape.default, one, channels)
            for one in (weight, bias)
        ]
        replace(node, _scaled(edit, out, *by_channel))
        changed += 1
    tidy(exported)
    return changed


def _normalized(
    exported: ExportedProgram, edit: Editor, x: Any, sizes: Sequence[int], eps: float
) -> fx.Node:
    """Give the last dimension of `x` mean 0 and spread 1; `sizes` multiply to its size."""
    centered = edit(aten.sub.Tensor, x, _mean(exported, edit, x, sizes))
    squares = edit(aten.mul.Tensor, centered, centered)
    variance = _mean(exported, edit, squares, sizes)
    root = edit(aten.rsqrt.default, edit(aten.add.Tensor, variance, eps))
    return edit(aten.mul.Tensor, centered, root)


def _mean(exported: ExportedProgram, edit: Editor, x: Any, sizes: Sequence[int]) -> fx.Node:
    """Average over the last dimension, by one of `sizes` after the other.

    One sum over all of them would round as often as it has values.
    """
    shape = static_shape(x)
    assert shape is not None  # of a node made here, or looked at before
    rows, left = list(shape[:-1]), [size for size in sizes if size > 1] or [1]
    several = len(left) > 1
    while left:
        if several:
            x = edit(aten.reshape.default, x, [*rows, *left])
        width = left.pop()
        column = torch.full((1, width), 1.0 / width)
        x = edit(aten.linear.default, x, constant(exported, f"mean_of_{width}", column))
    return edit(aten.reshape.default, x, [*rows, 1]) if several else x


def _scaled(edit: Editor, out: fx.Node, weight: Any, bias: Any) -> fx.Node:
    out = out if weight is None else edit(aten.mul.Tensor, out, weight)
    return out if bias is None else edit(aten.add.Tensor, out, bias)
