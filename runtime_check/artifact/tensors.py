"""Tensors in the artifact contract: their shapes, and their bytes as JSON."""

from __future__ import annotations

import base64
import math
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..errors import UnreadableArtifact
from .limits import Shape

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
        if odd or len(raw) != dtype.itemsize * math.prod(self.shape):
            raise UnreadableArtifact(
                f"A golden tensor says shape {self.shape} of {self.dtype} but holds {len(raw)} "
                "bytes: the file is damaged, export it again."
            )
        return np.frombuffer(raw, dtype).reshape(self.shape).astype(np.dtype(self.dtype))
