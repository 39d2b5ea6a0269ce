"""Whether inputs are what a file takes, by its metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .metadata import ImageInput, Metadata


class Shaped(Protocol):
    """An array or a tensor, as far as is asked here."""

    @property
    def shape(self) -> Sequence[int]: ...  # noqa: D102  numpy's and torch's own

    @property
    def dtype(self) -> object: ...  # noqa: D102  numpy's and torch's own


def check_inputs(metadata: Metadata, inputs: Sequence[Shaped]) -> None:
    """Raise `ValueError` when `inputs` are not what the artifact's metadata says it takes.

    The lite interpreter checks nothing, and its XNNPACK kernels read past a tensor with too few
    channels.
    """
    spec = metadata.input
    if spec.kind == "image":
        if len(inputs) != 1:
            raise ValueError(f"this artifact takes one image, not {len(inputs)} inputs")
        if metadata.format == "pte":
            _check_photo(spec, inputs[0])
        return  # in a .ptl the graph checks shape, type and size itself
    shapes = [tuple(t.shape) for t in inputs]
    expected = [tuple(tensor.shape) for tensor in spec.tensors]
    fits = len(shapes) == len(expected) and all(
        len(a) == len(b) and a[1:] == b[1:] and (spec.dynamic_batch or a[:1] == b[:1])
        for a, b in zip(shapes, expected, strict=True)
    )
    types = [str(t.dtype).removeprefix("torch.") for t in inputs]
    if not fits or types != [tensor.dtype for tensor in spec.tensors]:
        batch = " (any batch)" if spec.dynamic_batch else ""
        raise ValueError(
            f"this artifact takes {[(s.dtype, s.shape) for s in spec.tensors]}{batch}, "
            f"not {list(zip(types, map(list, shapes), strict=True))}"
        )


def _check_photo(spec: ImageInput, photo: Shaped) -> None:
    """Raise `ValueError` for a photo that the file does not take: ExecuTorch would not say why."""
    shape, kind = tuple(photo.shape), str(photo.dtype).removeprefix("torch.")
    if len(shape) != 3 or shape[2] != spec.channels or kind != spec.dtype:
        raise ValueError(
            f"this artifact takes a {spec.color} photo, {spec.dtype} [H, W, {spec.channels}], not "
            f"{kind} {list(shape)}"
        )
    short, long = sorted(shape[:2])
    if short < spec.min_side or long > spec.max_side or long > spec.max_aspect * short:
        raise ValueError(
            f"this artifact takes photos with sides of {spec.min_side} to {spec.max_side} pixels, "
            f"at most {spec.max_aspect} times as long as wide, not {shape[1]} x {shape[0]}. Scale "
            "the photo down first."
        )
