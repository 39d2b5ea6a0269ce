"""Write an exported program in operators that XNNPACK takes, so that it stays in one piece.

What XNNPACK does not take runs in portable kernels, one value at a time, and cuts the network in
pieces whose tensors are copied. torch's own decompositions leave some behind: attention that guards
against rows without any key, products over four dimensions that expand, views that squeeze.

Each pass takes an exported program, changes it in place, and returns how many places it changed.
All are exact in real numbers; sizes have to be known. `rewrite_program` runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import fx
from torch.export import ExportedProgram

from ..rewrites.passes import PASSES, PassEffect
from .constants import fold_constants
from .crops import plain_crops
from .finite import finite_padding
from .graph import Editor, aten, calls, replace, static_shape, tidy
from .norms import plain_group_norms, plain_layer_norms
from .qdq import decomposed, own_dequantize


def plain_views(exported: ExportedProgram) -> int:
    """Write unbind, select, squeeze and unsqueeze as slices and views; drop expansions of nothing.

    A slice of one and a view are the same memory; the operators themselves are portable copies.
    """
    changed = 0
    for node in calls(exported, aten.unbind.int):
        changed += _unbind(exported, node)
    for node in calls(
        exported, aten.select.int, aten.squeeze.dim, aten.squeeze.dims, aten.squeeze.default,
        aten.unsqueeze.default, aten.expand.default,
    ):  # fmt: skip
        source, shape = node.args[0], static_shape(node)
        before = static_shape(source)
        if before is None or shape is None or not shape:
            continue
        edit = Editor(exported.graph, node)
        if node.target is aten.select.int:
            dim, index = cast(tuple[int, int], node.args[1:])
            source = _slice_one(edit, source, dim % len(before), index % before[dim])
        elif torch.Size(before).numel() != torch.Size(shape).numel():
            continue  # an expansion that repeats
        replace(node, edit(aten.view.default, source, list(shape)))
        changed += 1
    tidy(exported)
    return changed


def _slice_one(edit: Editor, source: Any, dim: int, index: int) -> fx.Node:
    return edit(aten.slice.Tensor, source, dim, index, index + 1)


def _unbind(exported: ExportedProgram, node: fx.Node) -> int:
    source: Any = node.args[0]
    shape = static_shape(source)
    if shape is None or len(shape) < 2:
        return 0
    dim = cast(int, node.args[1] if len(node.args) > 1 else 0) % len(shape)
    for part in list(node.users):
        edit = Editor(exported.graph, part)
        one = _slice_one(edit, source, dim, cast(int, part.args[1]))
        replace(part, edit(aten.view.default, one, [*shape[:dim], *shape[dim + 1 :]]))
    exported.graph.erase_node(node)
    return 1


def plain_attention(exported: ExportedProgram) -> int:
    """Write fused attention as two products over three dimensions around a softmax.

    torch's own decomposition looks for rows whose keys are all masked out, which only a mask can
    bring about. Attention with a mask stays as it is.
    """
    changed = 0
    for node in calls(exported, aten.scaled_dot_product_attention.default):
        query, key, value, *more = node.args
        shapes = [shape for each in (query, key, value) if (shape := static_shape(each))]
        is_plain = not any(more) and not (set(node.kwargs) - {"scale"})
        if not is_plain or len(shapes) < 3 or len({shape[:-2] for shape in shapes}) > 1:
            continue
        scale = node.kwargs.get("scale") or shapes[0][-1] ** -0.5
        edit = Editor(exported.graph, node)
        query = query if scale == 1.0 else edit(aten.mul.Tensor, query, scale)
        flat = [_flat(edit, each) for each in (query, key, value)]
        scores = edit(aten.bmm.default, flat[0], edit(aten.permute.default, flat[1], [0, 2, 1]))
        weights = edit(aten.softmax.int, scores, -1)
        out = edit(aten.bmm.default, weights, flat[2])
        replace(node, edit(aten.view.default, out, list(static_shape(node) or ())))
        changed += 1
    tidy(exported)
    return changed


def plain_products(exported: ExportedProgram) -> int:
    """Write products over more than three dimensions as products over three."""
    changed = 0
    for node in calls(exported, aten.matmul.default):
        one, other = (static_shape(each) for each in node.args)
        if one is None or other is None or len(one) < 4 or one[:-2] != other[:-2]:
            continue
        edit = Editor(exported.graph, node)
        out = edit(aten.bmm.default, *(_flat(edit, each) for each in node.args))
        replace(node, edit(aten.view.default, out, [*one[:-1], other[-1]]))
        changed += 1
    tidy(exported)
    return changed


def plain_patches(exported: ExportedProgram) -> int:
    """Write a convolution whose windows do not overlap, a patch embedding, as a Linear of patches.

    XNNPACK's convolution goes through a window position by position, a whole vector of channels at
    each: of an image's few, most of it is empty. int8 convolutions stay: between their pairs of
    quantize and dequantize they are folded whole.
    """
    changed = 0
    for node in calls(exported, aten.conv2d.default):
        given: list[Any] = [*node.args, *_CONVOLUTION[len(node.args) :]]
        x, weight, bias, stride, padding, dilation, groups = given
        shape, kernel, out = static_shape(x), static_shape(weight), static_shape(node)
        is_int8 = weight.target is decomposed.dequantize_per_channel.default
        if shape is None or kernel is None or out is None or is_int8 or kernel[1] > _FEW:
            continue
        (batch, channels, *size), window = shape, kernel[2:]
        patches = [total // one for total, one in zip(size, window, strict=True)]
        no_overlap = list(stride) == [*window] and not any(padding) and groups == 1
        exact = [n * one for n, one in zip(patches, window, strict=True)] == size
        if not (no_overlap and exact and max(dilation) == 1 and max(window) > 1):
            continue
        edit = Editor(exported.graph, node)
        (down, across), (height, width) = patches, window
        split = edit(aten.reshape.default, x, [batch, channels, down, height, across * width])
        rows = edit(aten.permute.default, split, [0, 2, 1, 3, 4])
        rows = edit(aten.reshape.default, rows, [batch * down, channels * height, across, width])
        rows = edit(aten.permute.default, rows, [0, 2, 1, 3])
        rows = edit(aten.reshape.default, rows, [batch, down * across, channels * height * width])
        flat = edit(aten.reshape.default, weight, [kernel[0], channels * height * width])
        y = edit(aten.linear.default, rows, flat, bias)
        y = edit(aten.permute.default, y, [0, 2, 1])
        replace(node, edit(aten.reshape.default, y, list(out)))
        changed += 1
    tidy(exported)
    return changed


# Channels of an image. Of many, XNNPACK's convolution is the cheaper form.
_FEW = 4
# Arguments of conv2d that a call may leave out.
_CONVOLUTION = (None, None, None, (1, 1), (0, 0), (1, 1), 1)


def _flat(edit: Editor, node: Any) -> fx.Node:
    shape: Any = static_shape(node)
    # Reshape: what was permuted has no view of fewer dimensions.
    return edit(aten.reshape.default, node, [torch.Size(shape[:-2]).numel(), *shape[-2:]])


_PROGRAM_PASSES: Mapping[str, Callable[[ExportedProgram], int]] = {
    "plain-patches": plain_patches,
    "plain-attention": plain_attention,
    "plain-products": plain_products,
    "plain-layer-norms": plain_layer_norms,
    "plain-group-norms": plain_group_norms,
    "plain-views": plain_views,
}


def rewrite_program(
    exported: ExportedProgram, left_out: Mapping[str, PassEffect] | None = None
) -> Mapping[str, PassEffect]:
    """Do all that an exported program needs before it is lowered with XNNPACK, in place.

    Runs the passes on programs, except those in `left_out`, computes what depends on parameters
    alone, and gives each reader of an int8 tensor its own dequantize, without which int8 is not
    taken whole. Returns what became of each pass.
    """
    effects: dict[str, PassEffect] = {}
    for one in PASSES:
        if one.on != "program":
            continue
        if left_out and one.name in left_out:
            effects[one.name] = left_out[one.name]
            continue
        count = _PROGRAM_PASSES[one.name](exported)
        effects[one.name] = (
            PassEffect("applied", count, one.says)
            if count
            else PassEffect("none", why="nothing matched")
        )
    fold_constants(exported)
    finite_padding(exported)
    plain_crops(exported)
    own_dequantize(exported)
    return effects
