"""What is added to a network's outputs: softmax, sigmoid, a map of classes, length 1."""

from __future__ import annotations

from dataclasses import replace

from runtime_check.artifact.output import Step
from runtime_check.tasks import Task

from ..errors import UsageError
from .outputs import Asked, Meaning, Seen

# Classes that a uint8 map holds, 255 beside: pixels that the network does not see, as in PASCAL
# VOC's and Cityscapes' own maps.
MOST_MAPPED = 255


def activated(meaning: Meaning, seen: Seen, asked: Asked, *, is_image: bool) -> Meaning:
    """Add softmax or sigmoid: what was asked for, else to a classifier's scores alone."""
    wanted = asked.activation
    if not is_image or wanted == "none":
        return meaning
    if wanted != "auto":
        return _with_activation(meaning, seen, wanted)
    scored = [
        i
        for i, output in enumerate(meaning.outputs)
        if output.class_axis is not None and len(output.axes) == 2
    ]
    if meaning.task == "image-classification" and scored:
        first = meaning.outputs[scored[0]]
        if first.holds == "probabilities":
            said = (
                f"no softmax was added: {seen.name} returns probabilities already, for every sample"
            )
            return meaning.saying(said)
        return _added(meaning, scored[0], "softmax", 1)
    if meaning.task == "multi-label-classification" and scored:
        if meaning.outputs[scored[0]].holds == "probabilities":
            said = f"no sigmoid was added: {seen.name} returns values from 0 to 1 for every sample"
            return meaning.saying(said)
        return _added(meaning, scored[0], "sigmoid", None)
    if meaning.task is None and (seen.classes > 1 or seen.labels):
        said = f"no activation was added: {seen.name} returns {seen.shapes()}, not [1, classes]"
        return meaning.saying(said)
    return meaning


def _with_activation(meaning: Meaning, seen: Seen, wanted: str) -> Meaning:
    """Add the activation that was asked for to the first output that can have it."""
    for index, output in enumerate(meaning.outputs):
        shape = seen.shape(index)
        if not seen.first[index].is_floating_point():
            continue
        if wanted == "sigmoid":
            changed = _added(meaning, index, "sigmoid", None)
            if changed.task is None and len(shape) == 2:
                axes = (output.axes[0], "classes")
                named = replace(changed.outputs[index], axes=axes)
                return replace(
                    changed.with_output(index, named),
                    task="multi-label-classification",
                    basis=f"{shape} with the sigmoid that was asked for",
                )
            return changed
        if len(shape) in (2, 4) and shape[1] > 1:
            classes = (*output.axes[:1], "classes") if len(shape) == 2 else output.axes
            changed = _added(meaning, index, "softmax", 1)
            changed = changed.with_output(index, replace(changed.outputs[index], axes=classes))
            if changed.task is None:
                task: Task = "image-classification" if len(shape) == 2 else "image-segmentation"
                basis = f"{shape} with the softmax that was asked for"
                return replace(changed, task=task, basis=basis)
            return changed
    raise UsageError(
        f"--activation {wanted} goes over classes, of [1, classes] or [1, classes, H, W]; "
        f"{seen.name} returns {seen.shapes()}, which does not say what its classes are. Leave it "
        "out, or apply it in the module."
    )


def _added(meaning: Meaning, index: int, function: str, axis: int | None) -> Meaning:
    step = Step.model_validate({"output": index, "function": function, "axis": axis})
    output = meaning.outputs[index]
    changed = replace(output, holds="probabilities", steps=(*output.steps, step))
    return meaning.with_output(index, changed)


def represented(meaning: Meaning, seen: Seen, asked: Asked, *, is_image: bool) -> Meaning:
    """Turn scores into a map of classes, or embeddings to length 1, where the user asks."""
    if asked.output in ("auto", "scores"):
        return meaning
    if asked.output == "normalized":
        for index, output in enumerate(meaning.outputs):
            if output.holds == "embedding":
                last = len(output.axes) - 1
                step = Step(output=index, function="normalize", axis=last)
                return meaning.with_output(index, replace(output, steps=(step,)))
        raise UsageError(
            f"--output normalized scales an embedding to length 1; {seen.name} returns "
            f"{seen.shapes()}. Say `--task image-feature-extraction` if one of them is one."
        )
    if not is_image:
        raise UsageError(
            "--output class_map puts classes onto the photo, and the bare network sees none: leave "
            "out `--input tensor`."
        )
    for index, output in enumerate(meaning.outputs):
        axis = output.class_axis
        if axis is None or not output.is_dense:
            continue
        if seen.shape(index)[axis] > MOST_MAPPED:
            raise UsageError(
                f"--output class_map holds up to {MOST_MAPPED} classes, and {seen.name} has "
                f"{seen.shape(index)[axis]}."
            )
        steps = (
            Step(output=index, function="argmax", axis=axis),
            Step(output=index, function="resize"),
        )
        changed = replace(output, holds="class_map", steps=steps, is_mapped=True)
        return meaning.with_output(index, changed)
    raise UsageError(
        f"--output class_map needs scores for every pixel, [N, C, H, W]; {seen.name} returns "
        f"{seen.shapes()}. Say `--task image-segmentation` if one of them is a map of scores."
    )
