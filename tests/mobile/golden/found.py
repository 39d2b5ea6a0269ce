"""What detectors found, on two machines: boxes in another order, missing, moved."""

from __future__ import annotations

import numpy as np

from runtime_check.artifact.metadata import ToleranceSpec
from runtime_check.artifact.output import Detection, Output, OutputTensor

Row = tuple[float, float, int]
FoundPair = tuple[str, ToleranceSpec, list[np.ndarray], list[np.ndarray], Output]

BOUND = ToleranceSpec(
    atol=0.0078125, rtol=0.0, outputs=[0.0, 0.0078125, 0.0001], basis="a 128th of a pixel"
)
LIMITS = Detection(score_threshold=0.25, iou_threshold=0.5, max_detections=5)
A, B, C = (0.0, 0.875, 1), (40.0, 0.75, 1), (80.0, 0.625, 2)
D, E = (120.0, 0.5, 1), (160.0, 0.375, 1)
EDGE = (200.0, 0.25003, 2)  # its score is within the tolerance of the threshold
THIRD = 10 / 3  # two boxes that are so far apart overlap by a half


def _output(limits: Detection | None) -> Output:
    return Output(
        returned="list",
        tensors=[
            OutputTensor(
                name="labels", shape=[2], dtype="int64", axes=["boxes"], holds="class_index",
                varies=True,
            ),
            OutputTensor(
                name="boxes", shape=[2, 4], axes=["boxes", "4"], holds="boxes", space="network",
                varies=True,
            ),
            OutputTensor(
                name="scores", shape=[2], axes=["boxes"], holds="probabilities", varies=True
            ),
        ],
        labels=None,
        detection=limits,
    )  # fmt: skip


def _found(*rows: Row) -> list[np.ndarray]:
    """Classes, boxes 10 wide and high by their left side, and scores."""
    boxes = np.array([[x, 0, x + 10, 10] for x, _, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in rows], np.float32)
    return [np.array([kind for _, _, kind in rows], np.int64), boxes, scores]


def found_pairs() -> list[FoundPair]:
    """Name, tolerance, expected and actual outputs, and how they are described."""
    near = (90.0, 0.62503, 2)
    cases: list[tuple[str, tuple[Row, ...], tuple[Row, ...]]] = [
        ("the same boxes", (A, B, C), (A, B, C)),
        ("none on both sides", (), ()),
        ("a near tie swapped", (A, near, C), (A, (80.0, 0.62503, 2), (90.0, 0.625, 2))),
        ("the best last", (A, B, C), (B, C, A)),
        ("a box moved a little", (A, B, C), (A, (40.0078125, 0.75, 1), C)),
        ("a box moved", (A, B, C), (A, (40.5, 0.75, 1), C)),
        ("a score off", (A, B, C), (A, (40.0, 0.7502, 1), C)),
        ("another class", (A, B, C), (A, (40.0, 0.75, 2), C)),
        ("a box at the threshold missing", (A, B, EDGE), (A, B)),
        ("a box at the threshold more", (A, B), (A, B, EDGE)),
        ("another box at the threshold", (A, EDGE), (A, (220.0, 0.25003, 1))),
        ("a box at the threshold, and a near tie", (A, near, C, EDGE),
         (A, (80.0, 0.62503, 2), (90.0, 0.625, 2))),
        ("the only box, at the threshold", (EDGE,), ()),
        ("a box above the threshold missing", (A, B, (200.0, 0.2502, 2)), (A, B)),
        ("a strong box missing", (A, B, C), (A, B)),
        ("a strong box more", (A, B), (A, B, C)),
        ("all boxes missing", (A, B, C), ()),
        ("one at the threshold and a strong one missing", (A, B, C, EDGE), (A, B)),
        ("two at the threshold missing", (A, EDGE, (240.0, 0.25, 1)), (A,)),
        ("three at the threshold missing", (A, EDGE, (240.0, 0.25, 1), (280.0, 0.25, 1)), (A,)),
        ("an overlap at the limit", (A, (THIRD, 0.7, 1), C), (A, C)),
        ("an overlap below the limit", (A, (3.5, 0.7, 1), C), (A, C)),
        ("an overlap above the limit", (A, (3.0, 0.7, 1), C), (A, C)),
        ("an overlap with another class", (A, (THIRD, 0.7, 2), C), (A, C)),
        ("an overlap with a worse box", (A, (THIRD, 0.9, 1), C), (A, C)),
        ("one that came suppresses another", (A, (THIRD, 0.7, 1), C), (A, (5.0, 0.65, 1), C)),
        ("one that came suppresses a better one", (A, (THIRD, 0.7, 1), C), (A, (5.0, 0.72, 1), C)),
        ("full, and one more before the last", (A, B, (THIRD, 0.7, 1), C, D), (A, B, C, D, E)),
        ("full, and the last ones tie", (A, B, C, D, E), (A, B, C, D, (300.0, 0.37503, 1))),
        ("full, and the last ones differ", (A, B, C, D, E), (A, B, C, D, (300.0, 0.376, 1))),
    ]  # fmt: skip
    stated = _output(LIMITS)
    pairs = [(name, BOUND, _found(*one), _found(*other), stated) for name, one, other in cases]
    unknown = _output(None)
    expected, swapped = (
        _found(A, near, C, EDGE),
        _found(A, (80.0, 0.62503, 2), near[:1] + C[1:], EDGE),
    )
    pairs.append(("no limits stated, a near tie swapped", BOUND, expected, swapped, unknown))
    pairs.append(("no limits stated, one missing", BOUND, expected, _found(A, near, C), unknown))
    wide = BOUND.model_copy(update={"outputs": [0.0, 0.0078125, 0.05], "basis": "int8 scores"})
    expected, swapped = (
        _found(A, (40.0, 0.53, 1), (80.0, 0.5, 1)),
        _found(A, (80.0, 0.52, 1), (40.0, 0.51, 1)),
    )
    pairs.append(("scores of int8 swapped", wide, expected, swapped, stated))
    return pairs
