"""Detected objects: boxes on a photo with their classes and scores, on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runtime_check.artifact.geometry import Box, Placement
from runtime_check.artifact.metadata import Frozen, Output, OutputTensor
from runtime_check.artifact.output import RANKED

from .drawings import Found, class_color, draw_boxes
from .pictures import Drawing, drawing_of

# Boxes that are drawn at most, and where none is above the middle of the scores' range.
_MOST = 10
_LEAST = 3
_LABEL = 20  # letters of a label beside a box; the table has all of it

Sides = tuple[Sequence[np.ndarray], Sequence[np.ndarray]]  # eager Python's outputs, the file's


class DetectedBox(Frozen):
    """One row of what was found: the box of a rank by score, on each side; None where there is
    none of that rank."""

    expected: str | None
    actual: str | None
    expected_score: float | None
    actual_score: float | None


@dataclass(frozen=True, kw_only=True)
class Objects:
    """What was found in a photo; `shown` are the outputs that say so, `total` counts all boxes."""

    drawing: Drawing
    boxes: list[DetectedBox]
    total: int
    shown: set[int]


@dataclass(frozen=True, kw_only=True)
class _Object:
    box: Box  # on the photo
    label: str
    score: float | None
    index: int | None  # of the class


@dataclass(frozen=True, kw_only=True)
class _Places:
    """Which outputs hold what."""

    boxes: int
    scores: int | None
    classes: int | None


def boxes_drawing(
    output: Output, photo: np.ndarray, placement: Placement, sides: Sides
) -> Objects | None:
    """Draw the best boxes on `photo`; None where no output has boxes."""
    places = _places(output, sides[0])
    if places is None:
        return None
    found = [_objects(output, places, arrays, placement) for arrays in sides]
    best = [_best(objects) for objects in found]
    pictures = [draw_boxes(photo, [_found(one) for one in side]) for side in best]
    rows = []
    for rank in range(max(len(side) for side in best)):
        pair = [side[rank] if rank < len(side) else None for side in best]
        rows.append(
            DetectedBox(
                expected=pair[0].label if pair[0] else None,
                actual=pair[1].label if pair[1] else None,
                expected_score=pair[0].score if pair[0] else None,
                actual_score=pair[1].score if pair[1] else None,
            )
        )
    held = (places.boxes, places.scores, places.classes)
    return Objects(
        drawing=drawing_of(output.tensors[places.boxes].name, "boxes", pictures[0], pictures[1]),
        boxes=rows,
        total=len(found[0]),
        shown={place for place in held if place is not None},
    )


def _places(output: Output, arrays: Sequence[np.ndarray]) -> _Places | None:
    held = [tensor.holds for tensor in output.tensors]
    if "boxes" not in held or arrays[held.index("boxes")].shape[-1:] != (4,):
        return None
    boxes = held.index("boxes")
    count = arrays[boxes].size // 4

    def scored(place: int) -> bool:
        tensor, size = output.tensors[place], arrays[place].size
        if tensor.holds not in RANKED:
            return False
        axis = tensor.class_axis
        if axis is None:
            return size == count
        return axis == len(tensor.axes) - 1 and size == count * arrays[place].shape[-1]

    classes = [i for i, h in enumerate(held) if h == "class_index" and arrays[i].size == count]
    scores = [i for i in range(len(held)) if scored(i)]
    return _Places(
        boxes=boxes,
        scores=scores[0] if scores else None,
        classes=classes[0] if classes else None,
    )


def _objects(
    output: Output, places: _Places, arrays: Sequence[np.ndarray], placement: Placement
) -> list[_Object]:
    """Return the boxes that lie on the photo, the best score first."""
    tensor = output.tensors[places.boxes]
    boxes = arrays[places.boxes].reshape(-1, 4).astype(np.float64)
    scores, classes = _ranks(output, places, arrays, len(boxes))
    found = []
    for index, corners in enumerate(boxes):
        score = None if scores is None else float(scores[index])
        if not np.isfinite(corners).all() or (score is not None and not np.isfinite(score)):
            continue
        box = _on_photo(tensor, corners, placement)
        if box[0] >= box[2] or box[1] >= box[3]:
            continue
        place = None if classes is None else int(classes[index])
        label = "object" if place is None else _label(output, place)
        found.append(_Object(box=box, label=label, score=score, index=place))
    return sorted(found, key=lambda one: -(one.score or 0.0))


def _ranks(
    output: Output, places: _Places, arrays: Sequence[np.ndarray], count: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the score and the class of each box, None where nothing says them."""
    classes = None if places.classes is None else arrays[places.classes].reshape(-1)
    if places.scores is None:
        return None, classes
    scores = arrays[places.scores].astype(np.float64)
    if output.tensors[places.scores].class_axis is None:
        return scores.reshape(-1), classes
    ranked = scores.reshape(count, scores.shape[-1])
    best = np.argmax(ranked, axis=1)
    return ranked[np.arange(count), best], best


def _on_photo(tensor: OutputTensor, corners: np.ndarray, placement: Placement) -> Box:
    left, top, right, bottom = corners.tolist()
    if tensor.space != "photo":
        return placement.box_to_photo((left, top, right, bottom))
    width, height = float(placement.width), float(placement.height)
    return (
        min(max(left, 0.0), width),
        min(max(top, 0.0), height),
        min(max(right, 0.0), width),
        min(max(bottom, 0.0), height),
    )


def _label(output: Output, index: int) -> str:
    labels = output.labels or []
    return labels[index] if 0 <= index < len(labels) else f"class {index}"


def _best(objects: Sequence[_Object]) -> Sequence[_Object]:
    """Return those above the middle of the scores' range, as the apps begin with; else a few."""
    scores = [one.score for one in objects if one.score is not None]
    if not scores:
        return objects[:_MOST]
    shares = min(scores) >= 0 and max(scores) <= 1
    middle = 0.5 if shares else (min(scores) + max(scores)) / 2
    above = [one for one in objects if one.score is not None and one.score >= middle]
    return above[:_MOST] or objects[:_LEAST]


def _found(one: _Object) -> Found:
    label = one.label if len(one.label) <= _LABEL else one.label[: _LABEL - 1] + "…"
    text = label if one.score is None else f"{label}  {one.score:.2f}"
    return Found(box=one.box, text=text, color=class_color(max(0, one.index or 0)))
