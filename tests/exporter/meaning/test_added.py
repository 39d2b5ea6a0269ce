"""What is added to outputs, where it may be, and what is said where it is not."""

from __future__ import annotations

import pytest
from torch import Tensor

from exporter.errors import UsageError
from exporter.meaning.infer import infer
from exporter.meaning.outputs import Asked, Meaning

from .seen import noise, seen


def steps(meaning: Meaning) -> list[tuple[int, str, int | None]]:
    return [(s.output, s.function, s.axis) for s in meaning.added]


@pytest.mark.parametrize(
    ("output", "activation", "added"),
    [
        (noise(1, 6), "softmax", [(0, "softmax", 1)]),
        (noise(1, 6), "sigmoid", [(0, "sigmoid", None)]),
        (noise(1, 5, 24, 32), "softmax", [(0, "softmax", 1)]),
        (noise(1, 5, 24, 32), "none", []),
        (noise(1, 5, 24, 32), "auto", []),
        (noise(1, 6), "auto", []),
    ],
)
def test_activations(output: Tensor, activation: str, added: list[tuple[int, str, int]]) -> None:
    asked = Asked(activation=activation)  # type: ignore[arg-type]  # pytest gives a text
    meaning = infer(seen(output), asked, is_image=True)
    assert steps(meaning) == added
    if added:
        assert meaning.outputs[0].holds == "probabilities"
        assert meaning.task is not None


@pytest.mark.parametrize("output", [noise(32, 1, 11), noise(7), noise(1, 1)])
def test_softmax_needs_classes(output: Tensor) -> None:
    with pytest.raises(UsageError, match="does not say what its classes are"):
        infer(seen(output, batch=(None,)), Asked(activation="softmax"), is_image=True)


def test_of_several_outputs_the_scores_get_it() -> None:
    given = seen(noise(1, 8), noise(1, 6), names=("features", "logits"), classes=6)
    assert steps(infer(given, Asked(), is_image=True)) == [(1, "softmax", 1)]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (noise(1, 6).softmax(1), "no softmax was added: net returns probabilities already"),
        (noise(1, 6).sigmoid(), "no sigmoid was added: net returns values from 0 to 1"),
    ],
)
def test_what_is_done_already_is_said(output: Tensor, says: str) -> None:
    meaning = infer(seen(output, classes=6), Asked(), is_image=True)
    assert meaning.added == ()
    assert any(text.startswith(says) for text in meaning.said)


def test_classes_that_no_output_shows_are_said() -> None:
    meaning = infer(seen(noise(32, 1, 11), batch=(1,), classes=6), Asked(), is_image=True)
    assert any("no activation was added" in text for text in meaning.said)


def test_a_map_of_classes() -> None:
    meaning = infer(seen(noise(1, 5, 24, 32)), Asked(output="class_map"), is_image=True)
    assert steps(meaning) == [(0, "argmax", 1), (0, "resize", None)]
    assert meaning.picks
    bare = meaning.before_activations()
    assert bare.added == ()
    assert not bare.picks
    assert bare.outputs[0].holds == "scores"


def test_more_classes_than_a_byte_holds_are_refused() -> None:
    assert infer(seen(noise(1, 255, 24, 32)), Asked(output="class_map"), is_image=True).picks
    with pytest.raises(UsageError, match="up to 255 classes, and net has 256"):
        infer(seen(noise(1, 256, 24, 32)), Asked(output="class_map"), is_image=True)
