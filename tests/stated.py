"""What files state of their outputs, written by hand in the contract's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# The geometry of a 32 x 32 network behind a center crop of a fifth less than the resized photo.
GEOMETRY = {
    "resize": "cover",
    "resize_height": 40,
    "resize_width": 40,
    "network_height": 32,
    "network_width": 32,
    "rounding": "down",
}


def stated_output(
    *tensors: tuple[Sequence[int], str],
    activation: str = "none",
    labels: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Describe outputs of given shapes and dtypes; the first has the activation.

    It goes over the last axis. Ranks of one and two are rows of classes, with and without a batch.
    """
    described = []
    for index, (shape, dtype) in enumerate(tensors):
        axes = [str(size) for size in shape]
        if len(shape) in (1, 2):
            axes = ["N", "classes"][-len(shape) :]
        holds = "probabilities" if activation != "none" and index == 0 else "scores"
        described.append(
            {
                "name": f"output_{index}",
                "shape": [*shape],
                "dtype": dtype,
                "axes": axes,
                "holds": holds,
            }
        )
    rank = max(2, len(tensors[0][0]))  # a photo's output has lost its batch
    step = {"output": 0, "function": activation, "axis": rank - 1}
    return {
        "returned": "tensor" if len(tensors) == 1 else "list",
        "tensors": described,
        "added": [] if activation == "none" else [step],
        "labels": None if labels is None else [*labels],
    }
