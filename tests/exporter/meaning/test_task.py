"""What outputs are for, by what they show and by what the user says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from exporter.errors import UsageError
from exporter.meaning.look import look
from exporter.meaning.outputs import Asked
from exporter.meaning.task import decide

from .seen import noise, seen


def decided(*outputs: Tensor, asked: Asked | None = None, **known: Any) -> Any:
    given = seen(*outputs, **known)
    looked = tuple(look(given, index) for index in range(len(outputs)))
    return decide(given, looked, asked or Asked())


@pytest.mark.parametrize(
    ("output", "known", "task"),
    [
        (noise(1, 6), {"classes": 6}, "image-classification"),
        (noise(1, 6).softmax(1), {"classes": 6}, "image-classification"),
        (noise(1, 6).sigmoid(), {"classes": 6}, "multi-label-classification"),
        (noise(1, 6), {}, None),
        (noise(1, 6), {"classes": 5}, None),
        (noise(1, 1), {}, None),
        (normalize(noise(1, 6), dim=1), {}, "image-feature-extraction"),
        (noise(1, 6), {"is_headless": True}, "image-feature-extraction"),
        (noise(1, 5, 24, 32), {}, "image-segmentation"),
        (noise(1, 5, 24, 32) > 0, {}, "image-segmentation"),
        (torch.ones(1, 24, 32, dtype=torch.int64), {}, "image-segmentation"),
        (noise(1, 3, 24, 32), {}, None),
        (noise(1, 1, 24, 32), {}, None),
        (noise(32, 1, 11), {"batch": (1,), "classes": 11}, None),
    ],
)
def test_what_shows_by_itself(output: Tensor, known: dict[str, Any], task: str | None) -> None:
    found, basis, _ = decided(output, **known)
    assert found == task
    assert basis


def test_a_detector_shows_by_names_and_shapes() -> None:
    boxes, scores, labels = noise(7, 4), noise(7).sigmoid(), torch.arange(7)
    task, _, outputs = decided(boxes, scores, labels, names=("boxes", "scores", "labels"))
    assert task == "object-detection"
    assert [(o.holds, o.axes, o.varies) for o in outputs] == [
        ("boxes", ("boxes", "4"), True),
        ("probabilities", ("boxes",), True),
        ("class_index", ("boxes",), True),
    ]
    # Names alone, or shapes alone, are no evidence.
    assert decided(noise(7, 5), scores, labels, names=("boxes", "scores", "labels"))[0] is None
    assert decided(boxes, scores, labels, names=("a", "b", "c"))[0] is None


def test_outputs_that_show_nothing_are_all_named() -> None:
    assert decided(noise(1, 8), names=("a",))[1].startswith("nothing shows what a [1, 8] is for;")
    several = decided(noise(1, 8), noise(1, 2), names=("a", "b"))[1]
    assert several.startswith("nothing shows what a [1, 8], b [1, 2] are for;")


def test_the_first_output_that_shows_one_counts() -> None:
    task, basis, _ = decided(noise(1, 8), noise(1, 5, 24, 32), names=("area", "mask"))
    assert task == "image-segmentation"
    assert basis.startswith("mask: ")


def test_what_is_said_goes_before_what_shows() -> None:
    asked = Asked(task="image-regression", unit="years")
    task, basis, (output,) = decided(noise(1, 1), asked=asked)
    assert (task, basis, output.unit) == ("image-regression", "as --task says", "years")
    asked = Asked(task="depth-estimation", unit="m")
    _, _, (output,) = decided(noise(1, 1, 24, 32), asked=asked)
    assert (output.holds, output.unit) == ("depth", "m")
    _, _, (output,) = decided(noise(1, 17, 3), asked=Asked(task="keypoint-detection"))
    assert output.holds == "keypoints"
    _, _, (output,) = decided(noise(1, 6), asked=Asked(task="image-classification"))
    assert (output.holds, output.axes) == ("scores", ("N", "classes"))
    _, _, (output,) = decided(noise(1, 6).softmax(1), asked=Asked(task="image-classification"))
    assert output.holds == "probabilities"


@pytest.mark.parametrize(
    ("task", "output", "says"),
    [
        ("image-classification", noise(1, 5, 24, 32), r"needs scores \[N, classes\]"),
        ("image-segmentation", noise(1, 6), "needs a map over the picture"),
        ("depth-estimation", noise(1, 1, 7, 9), "needs a map over the picture"),
        ("image-to-image", noise(1, 6), "needs a picture"),
        ("object-detection", noise(7, 5), r"needs boxes \[K, 4\]"),
        ("image-feature-extraction", noise(32, 1, 11), "needs a vector"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_returned(
    task: Any, output: Tensor, says: str
) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        decided(output, asked=Asked(task=task))
    assert str(list(output.shape)) in str(refused.value)
