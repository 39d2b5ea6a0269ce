"""Decide what a model's outputs mean, from evidence, or from what the user says.

Evidence is shapes, which axis grows with the batch, values over all samples, and labels that fit;
never an attribute alone.
"""

from __future__ import annotations

from runtime_check.artifact.output import CLASS_AXES

from ..errors import UsageError
from .added import activated, represented
from .look import look
from .outputs import Asked, Meaning, Seen
from .task import decide


def infer(seen: Seen, asked: Asked, *, is_image: bool) -> Meaning:
    """Decide what the outputs mean; raise `UsageError` where that contradicts what was asked."""
    outputs = tuple(look(seen, index) for index in range(len(seen.names)))
    task, basis, outputs = decide(seen, outputs, asked)
    meaning = Meaning(
        task=task,
        basis=basis,
        outputs=outputs,
        drops_batch=tuple(
            is_image and bool(o.axes) and o.axes[0] == "N" and seen.shape(i)[0] == 1
            for i, o in enumerate(outputs)
        ),
    )
    meaning = activated(meaning, seen, asked, is_image=is_image)
    meaning = represented(meaning, seen, asked, is_image=is_image)
    _require_labels(meaning, seen)
    return meaning


def _require_labels(meaning: Meaning, seen: Seen) -> None:
    """Raise `UsageError` for labels that no output has a place for."""
    if seen.labels is None:
        return
    count = len(seen.labels)
    sizes = []
    for index, output in enumerate(meaning.outputs):
        if output.holds in ("class_map", "class_index") and not output.is_mapped:
            return  # they are named by number
        axis = next((i for i, axis in enumerate(output.axes) if axis in CLASS_AXES), None)
        if axis is not None:
            sizes.append(seen.shape(index)[axis])
    if count in sizes:
        return
    classes = f", {sizes[0]} classes" if sizes else ", and none of its axes has as many classes"
    raise UsageError(
        f"{count} labels, but {seen.name} returns {seen.shapes()}{classes}. Pass the matching file "
        "with --labels."
    )
