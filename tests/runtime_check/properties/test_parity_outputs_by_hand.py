"""Parity output by output: what each may be off by, and which pixels may take another class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime_check.artifact.archive import read_artifact
from runtime_check.artifact.metadata import (
    SAVED_STAGE,
    LedgerRow,
    Output,
    OutputTensor,
)
from runtime_check.properties.base import Verdict
from runtime_check.properties.parity import _int8_demand, examine_parity
from runtime_check.reference.reference import Reference

from .fakes import a_check, stating


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(np.float64(logits) - logits.max())
    return np.float32(powers / powers.sum())


class Two(torch.nn.Module):
    """Two rows of logits: the inputs' means, and the same once more, a million times as large."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        means = x.mean((2, 3))
        return means, means * 1e6


def two_outputs(made: Any, folder: Path, *off: float, activation: str = "none") -> Verdict:
    """Judge one input of a file of two outputs whose last values are off by these."""

    def answer(_: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        means = inputs[0].mean((2, 3), dtype=np.float64)
        found = [means, means * 1e6]
        for array, amount in zip(found, off, strict=True):
            array[0, -1] += amount
        if activation == "softmax":
            return [softmax(found[0]), np.float32(found[1])]
        return [np.float32(array) for array in found]

    inputs = np.empty((1, 3, 8, 8), np.float32)
    inputs[0] = np.float32([4.0, 2.0, 1.0])[:, None, None]
    with a_check(made.path, folder, answer) as check:
        assert check.reference is not None
        reference = replace(check.reference, network=Two().eval())
        rounding = replace(check.allowance.rounding, raw=(1e-6,) * 2, finished=(1e-6,) * 2)  # type: ignore[type-var]  # it was measured
        allowance = replace(check.allowance, rounding=rounding)
        twice = replace(check, reference=reference, allowance=allowance)
        stated = stating(twice, activation=activation, outputs=[([1, 3], "float32")] * 2)
        return examine_parity(stated, [inputs], natural=True)


@pytest.mark.parametrize(
    ("off", "holds"),
    [
        ((0.0, 0.0), True),
        ((3e-6, 0.0), True),  # of 4
        ((3e-5, 0.0), False),  # a large output leaves a small one no more room
        ((0.0, 3.0), True),
        ((0.0, 30.0), False),
    ],
)
def test_each_output_has_an_allowance_of_its_own_size(
    off: tuple[float, float], holds: bool, tensor_ptl: Any, tmp_path: Path
) -> None:
    verdict = two_outputs(tensor_ptl, tmp_path, *off)
    assert bool(verdict) is holds
    assert verdict.comparison is not None
    assert len(verdict.comparison.tolerance.outputs) == 2
    assert verdict.values == 6


def test_where_one_output_is_saturated_another_tells(tensor_ptl: Any, tmp_path: Path) -> None:
    verdict = two_outputs(tensor_ptl, tmp_path, 0.0, 0.0, activation="softmax")
    assert (bool(verdict), verdict.telling) == (True, True)
    # The second output is not what a softmax was added to.
    off = two_outputs(tensor_ptl, tmp_path, 0.0, 30.0, activation="softmax")
    assert not off
    assert "before the softmax" not in off.problem


class Scores(torch.nn.Module):
    """Scores of two classes for every pixel: the first channel, and the second."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :2]


def class_map(made: Any, folder: Path, near: int, flipped: int, *, added: bool = True) -> Verdict:
    """Judge a map of 64 pixels, `near` of them undecided, of which as many are `flipped`."""
    inputs = np.zeros((1, 3, 8, 8), np.float32)
    scores = inputs.reshape(3, 64)
    scores[0], scores[1] = 10.0, 1.0
    scores[1, :near] = 10.0 - 1e-5  # each score may be off by 1e-6 of 10
    classes = np.argmax(scores[:2], axis=0).reshape(1, 8, 8)
    classes.reshape(-1)[:flipped] ^= 1
    output = Output.model_validate({
        "returned": "tensor",
        "tensors": [{
            "name": "map", "shape": [1, 8, 8], "axes": ["N", "H", "W"], "holds": "class_map",
            "dtype": "int64",
        }],
        "added": [{"output": 0, "function": "argmax", "axis": 1}] if added else [],
        "labels": None,
    })  # fmt: skip
    with a_check(made.path, folder, lambda *_: [classes]) as check:
        metadata = check.metadata.model_copy(update={"output": output})
        assert check.reference is not None
        network: torch.nn.Module = Scores()
        if not added:
            network.forward = lambda x: x[:, :2].argmax(1)
        reference = replace(check.reference, network=network.eval(), metadata=metadata)
        artifact = replace(check.artifact, metadata=metadata)
        allowance = replace(check.allowance, whole=(True,))
        mapped = replace(check, artifact=artifact, reference=reference, allowance=allowance)
        return examine_parity(mapped, [inputs], natural=True)


@pytest.mark.parametrize(
    ("near", "flipped", "holds"),
    [
        (0, 0, True),
        (0, 2, True),  # two pixels, whatever the map
        (0, 3, False),
        (3, 8, True),  # twice the three that are near, and two
        (3, 9, False),
        (64, 64, True),  # a map of which nothing is decided
    ],
)
def test_as_many_pixels_may_take_another_class_as_hang_on_rounding(
    near: int, flipped: int, holds: bool, tensor_ptl: Any, tmp_path: Path
) -> None:
    verdict = class_map(tensor_ptl, tmp_path, near, flipped)
    assert bool(verdict) is holds
    assert verdict.comparison is not None
    assert verdict.comparison.tolerance.flips == pytest.approx(min(1.0, (2 * near + 2) / 64))


def test_no_pixel_of_a_map_that_the_network_gave_may(tensor_ptl: Any, tmp_path: Path) -> None:
    assert class_map(tensor_ptl, tmp_path, 0, 0, added=False)
    assert not class_map(tensor_ptl, tmp_path, 3, 1, added=False)


@pytest.mark.parametrize(
    ("figures", "agreement"),
    [
        ({"pixels": 0.9, "miou": 0.4}, 0.8),
        ({"cosine": 0.99}, 0.89),
        ({"boxes": 0.75}, 0.65),
        ({"top1": 0.6, "top5": 0.2}, 0.5),
        ({"miou": 0.4}, None),
    ],
)
def test_an_int8_file_is_held_to_its_tasks_own_figure(
    figures: dict[str, float], agreement: float | None, tensor_ptl: Any
) -> None:
    row = LedgerRow.model_validate({"stage": SAVED_STAGE, "sqnr_db": 20.0, **figures})
    metadata = read_artifact(tensor_ptl.path).metadata.model_copy(update={"ledger": [row]})
    least = _int8_demand(metadata).min_agreement
    assert least == (None if agreement is None else pytest.approx(agreement))


def test_boxes_are_held_to_how_many_match_and_to_no_noise(tensor_ptl: Any) -> None:
    """Their number differs, so a ledger may have no signal-to-noise ratio of them."""
    metadata = read_artifact(tensor_ptl.path).metadata
    boxes = OutputTensor(name="boxes", shape=[2, 4], axes=["boxes", "4"], holds="boxes")
    output = metadata.output.model_copy(update={"tensors": [boxes]})
    for noise in (20.0, None):
        row = LedgerRow(stage=SAVED_STAGE, sqnr_db=noise, boxes=0.75)
        stated = metadata.model_copy(update={"ledger": [row], "output": output})
        demand = _int8_demand(stated)
        assert (demand.min_sqnr_db, demand.min_agreement) == (None, pytest.approx(0.65))


def test_what_is_added_is_told_what_the_file_got(
    tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A map that is put on a photo hangs on its size."""
    told: list[Any] = []
    finish = Reference.finish

    def spy(self: Reference, tensors: Any, inputs: Any) -> Any:
        told.append(inputs)
        return finish(self, tensors, inputs)

    monkeypatch.setattr(Reference, "finish", spy)
    inputs = [np.ones((1, 3, 8, 8), np.float32)]
    with a_check(tensor_ptl.path, tmp_path) as check:
        assert examine_parity(check, inputs, natural=True)
    assert [given is inputs for given in told] == [True]
