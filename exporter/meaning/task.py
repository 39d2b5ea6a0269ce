"""What outputs are for: recognized by evidence, or as the user says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from runtime_check.artifact.output import Holds
from runtime_check.tasks import Task

from ..errors import UsageError
from .look import NEAR_ONE, is_map, last_word, sum_to_one, within_one
from .outputs import Asked, OutputMeaning, Seen

_Outputs = tuple[OutputMeaning, ...]


def decide(seen: Seen, outputs: _Outputs, asked: Asked) -> tuple[Task | None, str, _Outputs]:
    """Return the task, how it is known, and the outputs as the task has them.

    Raises `UsageError` where no output can be what `asked.task` is about.
    """
    found = _detector(seen, outputs) or _first_known(seen, outputs)
    if asked.task is None:
        return found
    _require_shape(seen, asked.task)
    basis = "as --task says"
    if found[0] == asked.task:
        return asked.task, basis, _with_unit(found[2], asked.unit)
    return asked.task, basis, _with_unit(_as_told(seen, outputs, asked.task), asked.unit)


def _detector(seen: Seen, outputs: _Outputs) -> tuple[Task | None, str, _Outputs] | None:
    """Recognize boxes with scores and classes: by their names and by shapes that fit."""
    names = [last_word(output.name) for output in outputs]
    if "boxes" not in names or outputs[names.index("boxes")].holds != "boxes":
        return None
    boxes = names.index("boxes")
    count = seen.shape(boxes)[0]
    given: list[OutputMeaning] = []
    for index, output in enumerate(outputs):
        tensor = seen.first[index]
        if index == boxes or tensor.dim() != 1 or tensor.shape[0] != count:
            given.append(output)
            continue
        whole = not tensor.is_floating_point()
        holds: Holds = "class_index" if whole else "values"
        if not whole and within_one(seen.column(index)):
            holds = "probabilities"
        given.append(replace(output, axes=("boxes",), holds=holds))
    varying = tuple(replace(o, varies=True) if o.axes[:1] == ("boxes",) else o for o in given)
    return "object-detection", "boxes [K, 4] beside scores and classes [K]", varying


def _first_known(seen: Seen, outputs: _Outputs) -> tuple[Task | None, str, _Outputs]:
    """Take the task of the first output that shows one."""
    for index, output in enumerate(outputs):
        task, basis, changed = _by_itself(seen, index, output)
        if task is not None:
            several = f"{output.name}: " if len(outputs) > 1 else ""
            return task, several + basis, (*outputs[:index], changed, *outputs[index + 1 :])
    verb = "is" if len(outputs) == 1 else "are"
    return None, f"nothing shows what {seen.shapes()} {verb} for; --task says it", outputs


def _by_itself(
    seen: Seen, index: int, output: OutputMeaning
) -> tuple[Task | None, str, OutputMeaning]:
    shape, axis = seen.shape(index), output.class_axis
    if output.holds == "mask" and output.is_dense:
        return "image-segmentation", "true and false for every pixel", output
    if output.holds == "class_map":
        return "image-segmentation", "whole numbers for every pixel", output
    if axis is not None and output.is_dense:
        return "image-segmentation", f"{shape[axis]} scores for every pixel, {shape}", output
    if axis is not None and len(shape) == 2:
        why = "label" if seen.labels else "of the module's classes"
        if output.holds == "scores" and within_one(seen.column(index)):
            held = replace(output, holds="probabilities")
            basis = f"{shape}, one for each {why}, all from 0 to 1"
            return "multi-label-classification", basis, held
        return "image-classification", f"{shape}, one for each {why}", output
    if len(shape) == 2 and output.axes[0] == "N" and shape[1] > 1 and output.holds == "values":
        embedding = replace(output, holds="embedding")
        if _unit_length(seen.column(index)):
            return "image-feature-extraction", f"{shape}, all of length 1", embedding
        if seen.is_headless:
            why = "from a timm model without a classifier"
            return "image-feature-extraction", f"{shape}, {why}", embedding
    return None, "", output


def _unit_length(column: Sequence[Tensor]) -> bool:
    return all(
        t.is_floating_point() and bool(((t.double().norm(dim=-1) - 1).abs() <= NEAR_ONE).all())
        for t in column
    )


def _require_shape(seen: Seen, task: Task) -> None:
    """Raise `UsageError` where no output can be the task's."""
    dims = [len(seen.shape(i)) for i in range(len(seen.names))]
    maps = any(is_map(seen, i) and dims[i] >= 2 for i in range(len(dims)))
    needs = {
        "image-classification": ("scores [N, classes]", any(d == 2 for d in dims)),
        "multi-label-classification": ("scores [N, classes]", any(d == 2 for d in dims)),
        "image-feature-extraction": ("a vector [N, features]", any(d == 2 for d in dims)),
        "image-segmentation": ("a map over the picture", maps),
        "depth-estimation": ("a map over the picture", maps),
        "image-to-image": ("a picture [N, C, H, W]", 4 in dims),
        "object-detection": (
            "boxes [K, 4]",
            any(seen.shape(i)[-1:] == [4] for i in range(len(dims))),
        ),
    }
    wanted, fits = needs.get(task, ("", True))
    if not fits:
        raise UsageError(f"--task {task} needs {wanted}, and {seen.name} returns {seen.shapes()}.")


def _as_told(seen: Seen, outputs: _Outputs, task: Task) -> _Outputs:
    """Say what outputs hold for a task that does not show, but was told."""
    changed = []
    for index, output in enumerate(outputs):
        shape = seen.shape(index)
        vector, dense = len(shape) == 2, is_map(seen, index)
        holds, axes = output.holds, output.axes
        if task in ("image-classification", "multi-label-classification") and vector:
            holds = "probabilities" if within_one(seen.column(index)) else "scores"
            if task == "image-classification" and not sum_to_one(seen.column(index), 1):
                holds = "scores"
            axes = (axes[0], "classes")
        elif task == "image-feature-extraction" and vector:
            holds, axes = "embedding", (axes[0], "features")
        elif task == "image-segmentation" and dense and holds == "values":
            holds = "scores" if len(shape) == 4 else "class_map"
        elif task == "depth-estimation" and dense:
            holds = "depth"
        elif task == "image-to-image" and len(shape) == 4:
            holds = "image"
        elif task == "keypoint-detection" and shape[-1] in (2, 3):
            holds = "keypoints"
        elif task == "object-detection" and shape[-1:] == [4]:
            holds = "boxes"
        changed.append(replace(output, holds=holds, axes=axes))
    return tuple(changed)


def _with_unit(outputs: _Outputs, unit: str | None) -> _Outputs:
    if unit is None:
        return outputs
    return tuple(
        replace(o, unit=unit) if o.holds in ("values", "depth", "keypoints") else o for o in outputs
    )
