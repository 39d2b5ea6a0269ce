"""A network's outputs: what is known of them, what was asked, and what is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from runtime_check.artifact.output import CLASS_AXES, RANKED, Holds, Output, OutputTensor, Step
from runtime_check.tasks import Task

from ..options import Activation, Representation

# What hides the scores it is taken of.
_HIDES = ("softmax", "sigmoid", "argmax")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of a network's outputs before anything is decided.

    `samples` are the outputs for each sample, in the order of `names`. `batch` is the axis of each
    output that grew when the batch was doubled; None where none did, or no batch is taken.
    `classes` is how many the module says it has, 0 for none; `is_headless` that it says it is a
    feature extractor. `size` is the height and width of what the network sees, where it sees a
    picture.
    """

    name: str
    names: tuple[str, ...]
    samples: tuple[tuple[Tensor, ...], ...]
    batch: tuple[int | None, ...]
    classes: int
    is_headless: bool
    labels: tuple[str, ...] | None
    size: tuple[int, int] | None

    @property
    def first(self) -> tuple[Tensor, ...]:
        """The outputs for the first sample."""
        return self.samples[0]

    def column(self, index: int) -> list[Tensor]:
        """Return one output for all samples."""
        return [outputs[index] for outputs in self.samples]

    def shape(self, index: int) -> list[int]:
        """Return the shape of an output for the first sample."""
        return list(self.first[index].shape)

    def shapes(self) -> str:
        """Say what is returned, for messages."""
        each = [f"{name} {list(t.shape)}" for name, t in zip(self.names, self.first, strict=True)]
        return ", ".join(each[:4]) + (", ..." if len(each) > 4 else "")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user said of the outputs."""

    task: Task | None = None
    activation: Activation = "auto"
    output: Representation = "auto"
    unit: str | None = None


@dataclass(frozen=True, kw_only=True)
class OutputMeaning:
    """One of a network's outputs: `axes` and the axes of `steps` include its batch."""

    name: str
    axes: tuple[str, ...]
    holds: Holds = "values"
    unit: str | None = None
    steps: tuple[Step, ...] = ()
    varies: bool = False
    is_bool: bool = False  # and given as uint8: no phone's Java reads bools
    is_mapped: bool = False  # int64 classes are given as uint8

    @property
    def class_axis(self) -> int | None:
        """The axis of classes; None where there is none."""
        if self.holds not in RANKED:
            return None
        return next((i for i, axis in enumerate(self.axes) if axis in CLASS_AXES), None)

    @property
    def is_dense(self) -> bool:
        """Whether it lies over the picture."""
        return "H" in self.axes


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a network's outputs are, and what is done to each before the file returns it.

    `drops_batch` says of which the batch of one goes, as it does for one photo. `said` tells in
    sentences what was inferred, and what was added or left out, where that may surprise.
    """

    task: Task | None
    basis: str
    outputs: tuple[OutputMeaning, ...]
    drops_batch: tuple[bool, ...]
    said: tuple[str, ...] = ()

    @property
    def returned(self) -> str:
        """What the file's `forward` gives: "tensor" or "list" of them."""
        return "tensor" if len(self.outputs) == 1 else "list"

    @property
    def added(self) -> tuple[Step, ...]:
        """All that is added."""
        return tuple(step for output in self.outputs for step in output.steps)

    @property
    def is_plain(self) -> bool:
        """Whether the outputs are given as the network returns them."""
        changed = any(o.steps or o.is_bool or o.is_mapped for o in self.outputs)
        return not changed and not any(self.drops_batch)

    @property
    def picks(self) -> bool:
        """Whether of scores only the class that is picked is given."""
        return any(step.function == "argmax" for step in self.added)

    def before_activations(self) -> Meaning:
        """Return the same with the scores that softmax, sigmoid and argmax are taken of."""
        bare = tuple(
            replace(output, steps=(), holds="scores", is_mapped=False)
            if any(step.function in _HIDES for step in output.steps)
            else output
            for output in self.outputs
        )
        return replace(self, outputs=bare)

    def described(
        self, outputs: Sequence[Tensor], labels: Sequence[str] | None, space: str | None
    ) -> Output:
        """Return the contract's words for what the file gives; `outputs` are its first sample's."""
        tensors = []
        for index, (meaning, tensor) in enumerate(zip(self.outputs, outputs, strict=True)):
            axes = [*meaning.axes]
            for step in meaning.steps:
                if step.function == "argmax" and step.axis is not None:
                    del axes[step.axis]
            if self.drops_batch[index]:
                axes = axes[1:]
            on_photo = any(step.function == "resize" for step in meaning.steps)
            lies = meaning.holds in ("boxes", "keypoints") or {"H", "W"} <= set(axes)
            tensors.append(
                OutputTensor.model_validate(
                    {
                        "name": meaning.name,
                        "shape": list(tensor.shape),
                        "dtype": str(tensor.dtype).removeprefix("torch."),
                        "axes": axes,
                        "holds": meaning.holds,
                        "unit": meaning.unit,
                        "space": ("photo" if on_photo else space) if lies else None,
                        "varies": meaning.varies or on_photo,
                    }
                )
            )
        return Output.model_validate(
            {
                "returned": self.returned,
                "tensors": tensors,
                "added": self.added,
                "labels": None if labels is None else list(labels),
            }
        )

    def with_output(self, index: int, output: OutputMeaning) -> Meaning:
        """Return the same with another output at `index`."""
        outputs = (*self.outputs[:index], output, *self.outputs[index + 1 :])
        return replace(self, outputs=outputs)

    def saying(self, sentence: str) -> Meaning:
        """Return the same with one more sentence said."""
        return replace(self, said=(*self.said, sentence))
