"""What metadata state of a file of a few lines, and what becomes of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_check.artifact.metadata import (
    GoldenCase,
    LedgerRow,
    Preprocessing,
)
from runtime_check.properties.base import Check
from runtime_check.properties.golden import metadata

from .fakes import a_check, honest, photo_input

# The package has a function of that name.
module = importlib.import_module("runtime_check.properties.golden")
Outputs = list[np.ndarray]
Answer = Callable[[int, Sequence[np.ndarray]], Outputs]


def test_metadata_that_tell_the_truth_pass(tensor_ptl: Any, tmp_path: Path) -> None:
    for changes in ({}, {"reference": None}):
        with a_check(tensor_ptl.path, tmp_path, **changes) as check:
            result = metadata(check)
        assert (result.name, result.status, result.fault) == ("metadata", "passed", "")
        assert result.examples == 8
        assert result.reason == "held for every input"


def test_outputs_that_are_misstated_fail_with_the_input(tensor_ptl: Any, tmp_path: Path) -> None:
    def answer(call: int, x: Sequence[np.ndarray]) -> Outputs:
        return [honest(x)[0].astype(np.float64)]

    with a_check(tensor_ptl.path, tmp_path, answer) as check:
        result = metadata(check)
    assert (result.name, result.status, result.fault) == ("metadata", "failed", "misstated")
    assert result.reason.startswith("output output_0 is float64 [1, 3], ")
    assert result.counterexample is not None


@pytest.mark.parametrize("right", [True, False])
def test_what_timm_says_otherwise_is_noted_and_excuses_nothing(
    right: bool, tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def other(*given: Any) -> list[str]:
        asked.append(given)
        return ["mean 1 where timm has 2", "std 3 where timm has 4"]

    monkeypatch.setattr(module, "stated_otherwise", other)

    def answer(call: int, x: Sequence[np.ndarray]) -> Outputs:
        return honest(x) if right else []

    with a_check(tensor_ptl.path, tmp_path, answer) as check:
        result = metadata(check)
        assert check.reference is not None
        assert asked == [(check.metadata, check.reference.network)]
    assert result.status == ("noted" if right else "failed")
    assert result.fault == ("" if right else "misstated")
    if right:
        assert result.examples == 8
        assert result.reason == ("the file states mean 1 where timm has 2; std 3 where timm has 4")


def test_photos_are_as_large_as_is_allowed(tensor_ptl: Any, tmp_path: Path) -> None:
    sizes = []

    def answer(call: int, inputs: Sequence[np.ndarray]) -> Outputs:
        sizes.append(inputs[0].shape[0] * inputs[0].shape[1])
        return [np.float32([[1.0, 2.0, 3.0]])]

    with a_check(tensor_ptl.path, tmp_path, answer, examples=20, max_pixels=1600) as check:
        preprocessing = Preprocessing.model_validate(
            {
                "input_size": (3, 8, 8), "interpolation": "bilinear", "crop_pct": 1.0,
                "crop_mode": "center", "mean": [0.0] * 3, "std": [1.0] * 3, "in_graph": True,
            }
        )  # fmt: skip
        photos = {
            "input": photo_input(min_side=4, max_side=1000), "preprocessing": preprocessing
        }  # fmt: skip
        result = metadata(stating(check, **photos))
    assert (result.status, result.examples) == ("passed", 20)
    assert max(sizes) <= 1600


def stating(check: Check, **update: Any) -> Check:
    changed = check.metadata.model_copy(update=update)
    return replace(check, artifact=replace(check.artifact, metadata=changed))


def calling(check: Check, **changes: Any) -> Check:
    bytecode = replace(check.artifact.bytecode, **changes)
    return replace(check, artifact=replace(check.artifact, bytecode=bytecode))


def quantized(check: Check, method: str) -> Check:
    stated = check.metadata.quantization.model_copy(update={"method": method})
    return stating(check, quantization=stated)


class Other(GoldenCase):
    """More than a golden vector can hold once it is written."""

    more: int = 1


def more_vectors(check: Check) -> Check:
    vectors = check.artifact.golden
    cases = [*vectors.cases[:-1], Other(**dict(vectors.cases[-1]))]
    vectors = vectors.model_copy(update={"cases": cases})
    return replace(check, artifact=replace(check.artifact, golden=vectors))


def both(check: Check, method: str) -> Check:
    """A file with an operator of either kind, which the metadata list as they are."""
    calls = {"aten::mean": 2, "quantized::linear": 1}
    return quantized(stating(calling(check, calls=calls), operators=calls), method)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda c: stating(c, ledger=[LedgerRow(stage="saved", sqnr_db=np.inf)]),
            "writing and reading the metadata changes it",
        ),
        (more_vectors, "writing and reading the golden vectors changes them"),
        (
            lambda c: calling(c, version=c.artifact.bytecode.version + 1),
            "the metadata states bytecode version {0}, the file has {1}",
        ),
        (
            lambda c: stating(calling(c, calls={"a": 1, "b": 1}), operators={"a": 1, "b": 2}),
            "the operators stated are not those in the bytecode (first difference: ('b', 1))",
        ),
        (
            lambda c: stating(calling(c, calls={"a": 1, "b": 1}), operators={"a": 1}),
            "the operators stated are not those in the bytecode (first difference: ('b', 1))",
        ),
        (
            lambda c: quantized(c, "static"),
            "the metadata states quantization 'static', the file no quantized operator",
        ),
        (
            lambda c: both(c, "none"),
            "the metadata states quantization 'none', the file quantized operators",
        ),
        (lambda c: both(c, "dynamic"), ""),
    ],
)
def test_what_is_stated_of_the_file_is_held_against_it_without_running_it(
    change: Callable[[Check], Check], reason: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    calls = []

    def answer(call: int, inputs: Sequence[np.ndarray]) -> Outputs:
        calls.append(call)
        return honest(inputs)

    with a_check(tensor_ptl.path, tmp_path, answer) as check:
        changed = change(check)
        version = check.metadata.produced_by.bytecode_version
        result = metadata(changed)
    if not reason:
        assert result.status == "passed"
        return
    assert (result.name, result.status, result.fault) == ("metadata", "failed", "misstated")
    assert (result.reason, result.examples) == (reason.format(version, version + 1), 0)
    assert not calls
