"""From outputs to their meaning, and labels that have to have a place."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from exporter.errors import UsageError
from exporter.meaning.infer import infer
from exporter.meaning.outputs import Asked

from .seen import noise, seen


def test_a_classifiers_photo_gets_a_softmax_and_its_bare_network_none() -> None:
    given = seen(noise(1, 6), classes=6)
    photo, bare = (infer(given, Asked(), is_image=is_image) for is_image in (True, False))
    assert [(s.function, s.axis) for s in photo.added] == [("softmax", 1)]
    assert photo.drops_batch == (True,)
    assert bare.added == ()
    assert bare.drops_batch == (False,)
    assert bare.is_plain
    assert not photo.is_plain


def test_only_the_batch_of_one_is_dropped() -> None:
    given = seen(noise(1, 6), noise(32, 1, 11), noise(7), batch=(0, 1, None))
    assert infer(given, Asked(), is_image=True).drops_batch == (True, False, False)


@pytest.mark.parametrize(
    ("output", "labels", "fits"),
    [
        (noise(1, 6), "abcdef", True),
        (noise(1, 6), "abcde", False),
        (noise(1, 5, 24, 32), "abcde", True),
        (noise(1, 5, 24, 32), "a" * 32, False),
        (torch.ones(1, 24, 32, dtype=torch.int64), "ab", True),
        (noise(32, 1, 11), "a" * 11, True),
        (noise(32, 1, 11), "a" * 32, False),
    ],
)
def test_labels_are_those_of_an_axis_of_classes(output: Tensor, labels: str, fits: bool) -> None:
    names = tuple(f"{letter}{i}" for i, letter in enumerate(labels))
    known: dict[str, Any] = {"labels": names}
    if output.shape[0] == 32:
        known["batch"] = (1,)
    if fits:
        infer(seen(output, **known), Asked(), is_image=True)
        return
    with pytest.raises(UsageError, match=f"^{len(labels)} labels, but net returns"):
        infer(seen(output, **known), Asked(), is_image=True)
