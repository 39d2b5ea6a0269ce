"""Cropping that is written as padding by less than nothing, which ExecuTorch's kernel refuses.

`functional.pad` takes negative sizes, and torch's decomposition of `functional.fold` (VOLO's
outlook attention) ends in such a pad. Both are lowered; the file then fails when it runs (0x12).
"""

from __future__ import annotations

from typing import Any

from torch import fx
from torch.export import ExportedProgram

from .graph import Editor, aten, calls, replace, static_shape, tidy


def plain_crops(exported: ExportedProgram) -> int:
    """Write what paddings and folds cut off as slices, in place; return how many.

    Exact. Paddings that mirror or repeat the edge stay: what they cut off is part of what they
    repeat.
    """
    changed = sum(_fold(exported, node) for node in calls(exported, aten.col2im.default))
    for node in calls(exported, aten.pad.default, aten.constant_pad_nd.default):
        changed += _pad(exported, node)
    tidy(exported)
    return changed


def _fold(exported: ExportedProgram, node: fx.Node) -> bool:
    """Fold into the whole padded picture, and cut its padding off."""
    given: Any = node.args
    blocks, size, kernel, dilation, padding, stride = given
    high, wide = _both(padding)
    if (high, wide) == (0, 0):
        return False
    height, width = _both(size)
    edit = Editor(exported.graph, node)
    whole = [height + 2 * high, width + 2 * wide]
    out = edit(aten.col2im.default, blocks, whole, kernel, dilation, [0, 0], stride)
    out = edit(aten.slice.Tensor, out, -2, high, high + height)
    replace(node, edit(aten.slice.Tensor, out, -1, wide, wide + width))
    return True


def _both(pair: Any) -> tuple[int, int]:
    one, other = (*pair, *pair)[:2]
    return one, other


def _pad(exported: ExportedProgram, node: fx.Node) -> bool:
    """Cut first, then pad by what is left: 0 where a side was cut."""
    given: Any = node.args
    source, sizes, *rest = given
    shape = static_shape(source)
    constant = node.target is aten.constant_pad_nd.default or rest[:1] in ([], ["constant"])
    if shape is None or not constant or min(sizes) >= 0:
        return False
    edit = Editor(exported.graph, node)
    for last in range(len(sizes) // 2):
        before, after = (min(0, one) for one in sizes[2 * last : 2 * last + 2])
        if before or after:
            dim = len(shape) - 1 - last
            source = edit(aten.slice.Tensor, source, dim, -before, shape[dim] + after)
    grown = [max(0, one) for one in sizes]
    replace(node, edit(node.target, source, grown, *rest) if any(grown) else source)
    return True
