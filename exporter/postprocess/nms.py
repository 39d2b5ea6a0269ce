"""Non-maximum suppression from plain operators: greedy, exact, and the same as torchvision's.

`torchvision::nms` is a custom operator that no phone's runtime has. Greedy suppression asks, from
the best box down, whether a better box that is itself kept overlaps too much. The boxes that are
kept are therefore the one solution of `keep[i] = not any(keep[j] and overlaps[j, i] for j < i)`.
It is found for all boxes at once: each round settles at least one box more for good, in practice
a handful of rounds settle all, and a round that changes nothing has reached the solution.
"""

# No `from __future__ import annotations` here: TorchScript reads the types of a function.
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., object])


def _script_if_tracing(function: Function) -> Function:
    """Compile a function when a trace meets it: a trace would keep one photo's rounds."""
    wrapped: Function = torch.jit.script_if_tracing(function)
    return wrapped


@_script_if_tracing
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Return the indices of the boxes that are kept, best score first, int64 `[kept]`.

    `boxes` are `[N, 4]` as x1, y1, x2, y2, `scores` `[N]`; of two boxes whose intersection over
    union is above `iou_threshold` the one with the lower score goes, of equal scores the later.
    Equal to `torchvision.ops.nms` on CPU, ties and rounding included. Memory grows with
    the square of N, some 30 MB for a thousand: take the best few hundred or thousand first.
    """
    order = torch.sort(scores, dim=0, stable=True, descending=True)[1]
    sorted_boxes = boxes[order]
    low, high = sorted_boxes[:, :2], sorted_boxes[:, 2:]
    sides = high - low
    areas = sides[:, 0] * sides[:, 1]
    shared = torch.minimum(high.unsqueeze(1), high.unsqueeze(0))
    shared = (shared - torch.maximum(low.unsqueeze(1), low.unsqueeze(0))).clamp(min=0)
    intersection = shared[:, :, 0] * shared[:, :, 1]
    iou = intersection / (areas.unsqueeze(1) + areas.unsqueeze(0) - intersection)
    # In double, as torchvision compares: 0.3 as a float is above 0.3.
    overlaps = iou.to(torch.float64) > iou_threshold
    # Row j, column i: the better box j suppresses i.
    overlaps = overlaps.triu(1)
    keep = torch.ones_like(order, dtype=torch.bool)
    settled = False
    while not settled:
        now = torch.logical_not((overlaps & keep.unsqueeze(1)).any(dim=0))
        settled = torch.equal(now, keep)
        keep = now
    return order[keep]


@_script_if_tracing
def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """Return what `nms` keeps where only boxes of one class suppress each other.

    `idxs` `[N]` are the classes, numbers of any type. Equal to `torchvision.ops.batched_nms` on
    CPU: up to a thousand boxes it moves those of each class apart, which rounds them, and
    suppresses all at once; more it takes class by class.
    """
    if boxes.numel() == 0:
        return torch.empty([0], dtype=torch.int64, device=boxes.device)
    if boxes.numel() <= 4000:
        offsets = idxs.to(boxes) * (boxes.max() + 1.0)
        return nms(boxes + offsets.unsqueeze(1), scores, iou_threshold)
    kept = torch.zeros_like(scores, dtype=torch.bool)
    for index in torch.unique(idxs):
        own = torch.where(idxs == index)[0]
        kept[own[nms(boxes[own], scores[own], iou_threshold)]] = True
    indices = torch.where(kept)[0]
    return indices[torch.sort(scores[indices], descending=True)[1]]
