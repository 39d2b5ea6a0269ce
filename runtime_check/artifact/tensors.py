"""Tensors in the artifact contract: their shapes, and their bytes as JSON."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..errors import UnreadableArtifact
from .limits import MAX_ELEMENTS, Count, Finite, Shape

Stride = Annotated[int, Field(ge=1, le=MAX_ELEMENTS)]

Dtype = Literal["uint8", "float32", "float64", "int64", "int32", "bool"]


class Frozen(BaseModel):
    """Base of every model here: immutable, NaN written as null, unknown keys kept out.

    Unknown keys are ignored on reading, so a file of a newer *minor* version still loads.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class TensorSpec(Frozen):
    """One tensor that `forward` takes or returns."""

    shape: Shape
    dtype: Dtype = "float32"


class TensorData(Frozen):
    """A tensor as little-endian bytes in C order, base64."""

    shape: Shape
    dtype: Dtype
    data: str

    @staticmethod
    def of(array: np.ndarray) -> TensorData:
        """Encode `array` (any shape; dtype one of `Dtype`)."""
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        return TensorData.model_validate(
            {
                "shape": list(array.shape),
                "dtype": str(array.dtype),
                "data": base64.b64encode(little.tobytes()).decode("ascii"),
            }
        )

    def array(self) -> np.ndarray:
        """Decode; raise `UnreadableArtifact` when the byte count does not fit the shape."""
        try:
            raw = base64.b64decode(self.data, validate=True)
        except ValueError as error:
            raise UnreadableArtifact(
                f"A golden tensor is not base64 ({error}): the file is damaged, export it again."
            ) from error
        dtype = np.dtype(self.dtype).newbyteorder("<")
        odd = self.dtype == "bool" and raw.strip(b"\0\1")  # not a bool to everybody
        if odd or len(raw) != dtype.itemsize * math.prod(self._held()):
            raise UnreadableArtifact(
                f"A golden tensor says shape {self.shape} of {self.dtype} but holds {len(raw)} "
                "bytes: the file is damaged, export it again."
            )
        return np.frombuffer(raw, dtype).reshape(self._held()).astype(np.dtype(self.dtype))

    def _held(self) -> Sequence[int]:
        """Return the shape of what `data` holds."""
        return self.shape


# Values of which figures are computed at a time, in a core's own cache.
_BLOCK = 2**16


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The smallest, largest and mean finite value of a whole tensor; None where none is finite."""

    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    nonfinite: int = 0

    @staticmethod
    def of(array: np.ndarray) -> Figures:
        """Compute the figures of `array` (any shape and dtype) in float64."""
        flat = array.reshape(-1)
        low, high, total, count = math.inf, -math.inf, 0.0, 0
        for start in range(0, flat.size, _BLOCK):
            values = flat[start : start + _BLOCK].astype(np.float64)
            finite = np.isfinite(values)
            if not finite.all():
                values = values[finite]
            if values.size:
                low, high = min(low, float(values.min())), max(high, float(values.max()))
                total, count = total + float(values.sum()), count + values.size
        if not count:
            return Figures(nonfinite=flat.size)
        return Figures(minimum=low, maximum=high, mean=total / count, nonfinite=flat.size - count)


class SampledData(TensorData):
    """A tensor as bytes, or every `stride`-th value of a large one, with figures of all of it.

    `data` holds the values at `start`, `start + stride`, ... of the tensor in C order.
    """

    start: int = Field(default=0, ge=0, lt=MAX_ELEMENTS)
    stride: Stride = 1
    minimum: Finite | None = Field(default=None, description="of all finite values")
    maximum: Finite | None = None
    mean: Finite | None = None
    nonfinite: Count = Field(default=0, description="how many of all values are NaN or infinite")

    @model_validator(mode="after")
    def _starts_inside(self) -> SampledData:
        if self.start and self.start >= self.stride:
            raise ValueError("start is not below stride")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether `data` holds every value."""
        return self.stride == 1

    @staticmethod
    def of(array: np.ndarray) -> SampledData:
        """Encode all of `array`."""
        return SampledData(**TensorData.of(array).model_dump())

    @staticmethod
    def sampled(array: np.ndarray, most: int, *, seed: int = 0) -> SampledData:
        """Encode `array`, at most some `most` values of it.

        The stride shares no factor with any dimension, so that the values come from every row,
        column and channel alike; `seed` says where they start.
        """
        if array.size <= most:
            return SampledData.of(array)
        stride = -(-array.size // most)
        while any(math.gcd(stride, size) > 1 for size in array.shape):
            stride += 1
        start = seed % stride
        figures = Figures.of(array)
        held = TensorData.of(array.reshape(-1)[start::stride]).data
        return SampledData.model_validate(
            {
                "shape": list(array.shape),
                "dtype": str(array.dtype),
                "data": held,
                "start": start,
                "stride": stride,
                **vars(figures),
            }
        )

    def of_same_places(self, array: np.ndarray) -> np.ndarray:
        """Return the values of `array`, of this shape, at the places that are held."""
        return array if self.is_whole else array.reshape(-1)[self.start :: self.stride]

    def _held(self) -> Sequence[int]:
        if self.is_whole:
            return self.shape
        return [max(0, -(-(math.prod(self.shape) - self.start) // self.stride))]
