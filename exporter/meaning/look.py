"""Look at one output: name its axes, and say what it holds as far as it shows by itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from runtime_check.artifact.output import Holds

from .outputs import OutputMeaning, Seen

# How far a sum of float32 probabilities may be from 1: a thousand of them round by 1e-6 or so.
NEAR_ONE = 1e-4


def look(seen: Seen, index: int) -> OutputMeaning:
    """Name the axes of one output, and say what it holds as far as it shows by itself."""
    tensor, column = seen.first[index], seen.column(index)
    varies = any(t.shape != tensor.shape for t in column)
    holds = _held(seen, index)
    return OutputMeaning(
        name=seen.names[index],
        axes=_axes(seen, index, holds),
        holds=holds,
        varies=varies,
        is_bool=tensor.dtype == torch.bool,
    )


def _held(seen: Seen, index: int) -> Holds:
    tensor, column, name = seen.first[index], seen.column(index), seen.names[index]
    shape, batch = list(tensor.shape), seen.batch[index]
    if tensor.dtype == torch.bool:
        return "mask"
    if is_map(seen, index) and not tensor.is_floating_point() and len(shape) in (2, 3):
        return "class_map"
    boxed = last_word(name) == "boxes" and shape[-1:] == [4] and batch is None
    if boxed:
        return "boxes"
    classes = _class_axis(seen, index)
    if classes is None:
        return "values"
    if sum_to_one(column, classes):
        return "probabilities"
    return "scores"


def last_word(name: str) -> str:
    """Return an output's own name, without those of the containers around it."""
    return name.rsplit(".", 1)[-1]


def is_map(seen: Seen, index: int) -> bool:
    """Whether the last two axes are a picture's: of the network's size, or evenly below it."""
    shape = seen.shape(index)
    if seen.size is None or len(shape) < 2:
        return False
    height, width = seen.size
    rows, columns = shape[-2:]
    if min(rows, columns) < 2 or rows > height or columns > width:
        return False
    # A decoder's strides divide both sides alike; rounding up where they do not divide.
    stride = round(height / rows)
    return rows == -(-height // stride) and columns == -(-width // stride)


def _class_axis(seen: Seen, index: int) -> int | None:
    """Return the axis along which classes lie: labels, or a count the module states, fit it."""
    shape, batch = seen.shape(index), seen.batch[index]
    counts = {len(seen.labels)} if seen.labels else {seen.classes} - {0, 1}
    if len(shape) == 4 and is_map(seen, index):
        dense = shape[1] in counts or (
            # A score per class for each pixel; three channels may be a picture's colors.
            shape[-2:] == list(seen.size or ()) and shape[1] > 1 and shape[1] != 3
        )
        return 1 if dense and batch in (0, None) else None
    if len(shape) == 2 and shape[1] in counts and batch in (0, None):
        return 1
    # Sequences and boxes: classes come last.
    if len(shape) == 3 and shape[-1] in counts and batch != 2:
        return 2
    return None


def _axes(seen: Seen, index: int, holds: Holds) -> tuple[str, ...]:
    shape, batch = seen.shape(index), seen.batch[index]
    axes = [str(size) for size in shape]
    if batch is None and holds not in ("boxes",) and shape[:1] == [1] and len(shape) > 1:
        batch = 0  # one photo's, of a network that takes no more than one
    if is_map(seen, index) and len(shape) >= 3:
        axes[-2:] = ["H", "W"]
        if len(shape) == 4:
            axes[1] = "C"
    elif holds == "boxes":
        axes[-2:] = ["boxes", "4"]
    else:
        classes = _class_axis(seen, index)
        if classes is not None:
            axes[classes] = "classes"
        elif len(shape) == 2 and batch == 0:
            axes[1] = "features"
    if batch is not None:
        axes[batch] = "N"
    return tuple(axes)


def sum_to_one(column: Sequence[Tensor], axis: int) -> bool:
    """Say whether all of `column` are nonnegative and sum to 1 along `axis`."""
    if not all(t.is_floating_point() and t.shape[axis] > 1 for t in column):
        return False
    if any(bool((t < 0).any()) for t in column):  # most scores, which saves adding them
        return False
    sums = [t.sum(axis, dtype=torch.float64) for t in column]
    return all(bool(((s - 1).abs() <= NEAR_ONE).all()) for s in sums)


def within_one(column: Sequence[Tensor]) -> bool:
    """Say whether all values lie from 0 to 1."""
    return all(
        t.is_floating_point() and bool((t >= 0).all()) and bool((t <= 1).all()) for t in column
    )
