"""What `forward` takes, in the artifact contract: one photo, or named tensors."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from .geometry import Geometry
from .limits import MAX_ELEMENTS, MAX_PIXELS, MAX_TENSORS, Finite, Name, Side
from .tensors import Frozen, TensorSpec


class ImageInput(Frozen):
    """One photo: uint8, height x width x channels, any size within the stated bounds."""

    kind: Literal["image"] = "image"
    dtype: Literal["uint8"] = "uint8"
    layout: Literal["HWC"] = "HWC"
    color: Literal["RGB", "L", "RGBA"] = Field(
        default="RGB", description="Pillow's name of the mode: 3, 1 or 4 channels"
    )
    min_side: Side = Field(description="smallest height or width accepted, pixels")
    max_side: Side = Field(description="largest height or width accepted, pixels")
    max_aspect: Side = Field(
        default=32, description="largest ratio of the long to the short side accepted"
    )
    geometry: Geometry = Field(description="where the photo lies in what the network sees")

    @property
    def channels(self) -> int:
        """How many numbers a pixel has."""
        return {"RGB": 3, "L": 1, "RGBA": 4}[self.color]

    @field_validator("max_side")
    @classmethod
    def _sides_in_order(cls, value: int, info: ValidationInfo) -> int:
        smallest = info.data.get("min_side", 1)
        if not smallest <= value:
            raise ValueError(f"smaller than min_side, {smallest}")
        return value

    @field_validator("min_side")
    @classmethod
    def _smallest_image(cls, value: int) -> int:
        if value**2 > MAX_PIXELS:
            raise ValueError(f"the smallest image would have more than {MAX_PIXELS} pixels")
        return value


class InputTensor(TensorSpec):
    """One tensor that `forward` takes, and the values it is checked with."""

    name: Name = Field(min_length=1, description="of forward's parameter")
    low: Finite | None = Field(default=None, description="smallest value drawn; null: see `high`")
    high: Finite | None = Field(
        default=None,
        description="largest value drawn, whole for integers; null: standard normal and wilder "
        "values for floats",
    )

    @model_validator(mode="after")
    def _in_order(self) -> InputTensor:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high are given together")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is above high")
        return self


class TensorInput(Frozen):
    """The bare network: tensors of stated shape, already preprocessed."""

    kind: Literal["tensor"] = "tensor"
    tensors: list[InputTensor] = Field(min_length=1, max_length=MAX_TENSORS)
    dynamic_batch: bool = Field(description="whether the first dimension may differ from `shape`")

    @field_validator("tensors")
    @classmethod
    def _not_empty(cls, tensors: list[InputTensor]) -> list[InputTensor]:
        sizes = [math.prod(tensor.shape) for tensor in tensors]
        if 0 in sizes or sum(sizes) > MAX_ELEMENTS:
            raise ValueError(f"an input without elements, or more than {MAX_ELEMENTS} in all")
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise ValueError("two inputs of one name")
        return tensors
