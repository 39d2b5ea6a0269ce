"""What `forward` returns, in the artifact contract: named tensors, and what was added to them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from .limits import MAX_ELEMENTS, MAX_LABELS, MAX_RANK, MAX_TENSORS, Finite, Label, Name
from .tensors import Frozen, TensorSpec

# What the numbers of an output are. `scores` rank classes and have no fixed scale, `logits` are
# scores that softmax or sigmoid turns into probabilities, `boxes` are x1, y1, x2, y2, `class_map`
# holds a class index for every pixel, `class_index` one for every box.
Holds = Literal[
    "scores",
    "logits",
    "probabilities",
    "class_map",
    "class_index",
    "mask",
    "embedding",
    "depth",
    "image",
    "keypoints",
    "boxes",
    "values",
]
# Along these axes a class has a place each, so labels name the places.
CLASS_AXES = ("classes", "C")
# What ranks classes against each other.
RANKED = ("scores", "logits", "probabilities")


class OutputTensor(TensorSpec):
    """One tensor that `forward` returns; `shape` is that for the first golden input."""

    name: Name = Field(min_length=1, description="its key or field, or output_0, output_1, ...")
    axes: list[Name] = Field(
        max_length=MAX_RANK,
        description="a word for each dimension: N, C, H, W, classes, boxes, features, or a number",
    )
    holds: Holds = "values"
    unit: Name | None = Field(default=None, description="of the values, such as years or meters")
    space: Literal["photo", "network"] | None = Field(
        default=None,
        description="which picture the pixels or coordinates lie on: the photo as given, or what "
        "the network sees of it (`geometry` places one on the other)",
    )
    varies: bool = Field(
        default=False, description="whether the shape depends on what the input holds or its size"
    )

    @field_validator("axes")
    @classmethod
    def _short(cls, value: list[str]) -> list[str]:
        if any(not axis or len(axis) > 30 for axis in value):
            raise ValueError("an axis is a word or a number")
        return value

    @model_validator(mode="after")
    def _fits(self) -> OutputTensor:
        if len(self.axes) != len(self.shape):
            raise ValueError(f"{len(self.axes)} axes for a shape of {len(self.shape)}")
        return self

    @property
    def class_axis(self) -> int | None:
        """The axis that classes lie along; None where there is none."""
        if self.holds not in RANKED:
            return None
        return next((i for i, axis in enumerate(self.axes) if axis in CLASS_AXES), None)


class Step(Frozen):
    """What the exporter added to one of the network's outputs."""

    output: int = Field(ge=0, lt=MAX_TENSORS, description="index of the tensor")
    function: Literal["softmax", "sigmoid", "argmax", "resize", "normalize"]
    axis: int | None = Field(
        default=None,
        ge=0,
        lt=MAX_RANK,
        description="of what the network returns, its batch axis included",
    )


class Detection(Frozen):
    """What decides which boxes a detector gives; null where nobody said.

    A box whose score or overlap lies within rounding of a limit may come on one machine and not on
    another: a comparison has to know where the limits are.
    """

    score_threshold: Finite | None = Field(
        default=None, description="boxes are found whose score is above it"
    )
    iou_threshold: Finite | None = Field(
        default=None,
        ge=0,
        le=1,
        description="of two boxes of a class that overlap by more the lower score goes",
    )
    max_detections: int | None = Field(
        default=None, ge=1, le=MAX_ELEMENTS, description="no more boxes than these, the best ones"
    )


class Output(Frozen):
    """What `forward` returns."""

    returned: Literal["tensor", "list"] = Field(description="one tensor, or a list of them")
    tensors: list[OutputTensor] = Field(
        min_length=1, max_length=MAX_TENSORS, description="in the order they are returned in"
    )
    added: list[Step] = Field(default=[], max_length=MAX_TENSORS * 4)
    labels: list[Label] | None = Field(
        max_length=MAX_LABELS,
        description="one per class, or null where none are known: they name the places along the "
        "class axis of scores, and what the numbers of a class map or a class index mean",
    )
    detection: Detection | None = Field(
        default=None, description="of a detector whose limits are known"
    )

    @model_validator(mode="after")
    def _fits(self) -> Output:
        names = [tensor.name for tensor in self.tensors]
        if len(set(names)) != len(names):
            raise ValueError("two outputs of one name")
        if self.returned == "tensor" and len(names) != 1:
            raise ValueError(f"one tensor returned, and {len(names)} described")
        for step in self.added:
            if step.output >= len(names):
                raise ValueError(f"a step added to output {step.output} of {len(names)}")
        return self

    def steps(self, index: int) -> list[Step]:
        """Return what was added to the output at `index`, in order."""
        return [step for step in self.added if step.output == index]


def describe_output(output: Output, index: int) -> str:
    """Say an output: `logits: probabilities (softmax), classes 1000, float32`."""
    tensor = output.tensors[index]
    added = [step.function for step in output.steps(index)]
    how = f" ({', '.join(added)})" if added else ""
    unit = f" in {tensor.unit}" if tensor.unit else ""
    sizes = [
        axis if axis == str(size) else f"{axis} {size}"
        for axis, size in zip(tensor.axes, tensor.shape, strict=True)
    ]
    holds = tensor.holds.replace("_", " ")
    return f"{tensor.name}: {holds}{unit}{how}, {' x '.join(sizes)}, {tensor.dtype}"
