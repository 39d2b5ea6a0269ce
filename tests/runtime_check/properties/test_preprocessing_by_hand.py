"""How far preprocessing in the graph may be off, number by number, without a file or a photo."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from runtime_check.artifact.metadata import Preprocessing
from runtime_check.comparison import Tolerance
from runtime_check.errors import BuildError
from runtime_check.properties.base import Check, PropertyResult, ReferenceRaised, Verdict
from runtime_check.properties.preprocessing import (
    _distance,
    examine_preprocessing,
    preprocessing,
)

from .fakes import photo_input

# The package has a function of that name.
module = importlib.import_module("runtime_check.properties.preprocessing")
Outputs = list[np.ndarray]

STD = (0.25, 0.5, 0.2)
SPEC = Preprocessing(
    input_size=(3, 4, 6),
    interpolation="bicubic",
    crop_pct=0.5,
    crop_mode="center",
    mean=(0.5, 0.4, 0.3),
    std=STD,
    in_graph=True,
)
PHOTO = np.zeros((9, 7, 3), np.uint8)
TENSOR = np.linspace(-1, 1, 3 * 4 * 6).astype(np.float32).reshape(1, 3, 4, 6)
# Far enough from black and white for 20 levels, but for two pixels.
RESIZED = np.linspace(40, 200, 8 * 12 * 3).astype(np.uint8).reshape(8, 12, 3)
RESIZED[0, 0], RESIZED[0, 1] = 0, 255
ANSWER = [np.array([4.0, -4.0], np.float32), np.array([8.0, 8.0, 0.0], np.float32)]
LEAST = Tolerance(atol=0.5, rtol=0.25)
HALVES = ("up", "down")
MOVES = (*HALVES, "first", "second")  # the last two with random signs


def moved_answer(output: int, by: float) -> Outputs:
    """The answer, but for the last value of one output."""
    answer = [array.copy() for array in ANSWER]
    answer[output][-1] += by
    return answer


@dataclass
class Steps:
    """A file and a reference that know which move they are asked about, and answer as told."""

    method: str = "none"
    with_reference: bool = True
    answers: dict[str, Outputs] = field(default_factory=dict)
    levels: float = 2.0
    seed: int = 0
    asked: dict[str, np.ndarray] = field(default_factory=dict)
    sized: list[Outputs] = field(default_factory=list)  # what an allowance was asked for

    def answer(self, value: np.ndarray, change: np.ndarray, step: float) -> Outputs:
        """`change` in gray levels; a move without random signs is `step` of them."""
        if not change.any():
            move = "none"
        elif np.allclose(change, step, atol=1e-3):
            move = "up"
        elif np.allclose(change, -step, atol=1e-3):
            move = "down"
        else:
            assert np.allclose(np.abs(change), self.levels, atol=1e-3)
            move = "first" if "first" not in self.asked else "second"
        assert move not in self.asked
        self.asked[move] = change
        return self.answers.get(move, ANSWER)

    def classify(self, tensor: torch.Tensor) -> Outputs:
        value = tensor.numpy()
        assert (value.shape, value.dtype) == (TENSOR.shape, np.float32)
        std = np.array(STD).reshape(1, 3, 1, 1)
        return self.answer(value, (value.astype(np.float64) - TENSOR) * std * 255, 0.5)

    def run(self, inputs: Sequence[np.ndarray]) -> Outputs:
        (image,) = inputs
        assert image.dtype == np.uint8
        if image is PHOTO:
            return self.answers.get("photo", ANSWER)
        change = image.astype(np.float64) - RESIZED
        assert (change[0, 0] >= 0).all()  # black is no darker, and does not turn white
        assert (change[0, 1] <= 0).all()
        # Each is moved in full, or not at all.
        assert set(np.abs(change[0, :2]).ravel()) <= {0.0, np.abs(change).max()}
        return self.answer(image, change[1:], 1.0)

    def allow(self, outputs: Outputs) -> Tolerance:
        self.sized.append(outputs)
        return LEAST

    def preprocess(self, image: np.ndarray) -> torch.Tensor:
        assert image is PHOTO
        assert self.method == "none"  # an int8 file is not held to a float reference
        return torch.from_numpy(TENSOR)

    @property
    def check(self) -> Check:
        reference = SimpleNamespace(preprocess=self.preprocess, classify=self.classify)
        namespace = SimpleNamespace(
            metadata=SimpleNamespace(
                quantization=SimpleNamespace(method=self.method), preprocessing=SPEC
            ),
            reference=reference if self.with_reference else None,
            allowance=SimpleNamespace(for_outputs=self.allow),
            run=self.run,
            seed=self.seed,
        )
        return cast(Check, namespace)

    def judged(self, natural: bool = True) -> Verdict:
        self.levels = 2.0 if natural else 20.0
        return examine_preprocessing(self.check, [PHOTO], natural)


@pytest.fixture(autouse=True)
def _resized(monkeypatch: pytest.MonkeyPatch) -> None:
    def resize(spec: Preprocessing, image: np.ndarray) -> np.ndarray:
        assert spec is SPEC
        assert image is PHOTO
        return RESIZED

    monkeypatch.setattr(module, "pillow_resize", resize)


# By the reference, by the file itself for want of one, and by an int8 file itself.
WAYS: list[dict[str, Any]] = [{}, {"with_reference": False}, {"method": "static"}]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("natural", [True, False])
def test_four_moves_are_tried(way: dict[str, Any], natural: bool) -> None:
    """Half a level each way (a whole one where pixels are whole), and twice all of them."""
    steps = Steps(**way)
    assert steps.judged(natural)
    assert sorted(steps.asked) == sorted([*MOVES, "none"])
    first, second = steps.asked["first"], steps.asked["second"]
    for signs in (first > 0, second > 0, (first > 0) == (second > 0)):
        assert 0.2 < signs.mean() < 0.8


@pytest.mark.parametrize("way", WAYS)
def test_signs_are_the_seeds(way: dict[str, Any]) -> None:
    def signs(seed: int) -> list[bytes]:
        steps = Steps(**way, seed=seed)
        steps.judged()
        return [(steps.asked[move] > 0).tobytes() for move in ("first", "second")]

    assert signs(0) == signs(0)
    assert signs(1) == signs(1)
    assert not set(signs(0)) & set(signs(1))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("output", [0, 1])
@pytest.mark.parametrize("move", MOVES)
def test_the_bound_is_twice_the_largest_move_of_any_output(
    move: str, output: int, way: dict[str, Any]
) -> None:
    """Of 8, a quarter is allowed and 0.5; and twice the 3 that one move makes."""

    def judged(off: float) -> Verdict:
        photo = [array.copy() for array in ANSWER]
        photo[1][0] += off
        answers = {other: moved_answer(1 - output, 1.0) for other in MOVES}
        answers |= {move: moved_answer(output, -3.0), "photo": photo}
        if not way:
            steps: Any = Steps(**way, answers=answers)
            steps.run = lambda inputs: photo
            return steps.judged()
        return Steps(**way, answers=answers).judged()

    bound = 2 * 3.0 + 0.5 + 0.25 * 8.0
    for off in (bound - 0.01, 0.01 - bound):
        verdict = judged(off)
        assert verdict
        assert verdict.comparison is not None
        assert verdict.comparison.tolerance == Tolerance(atol=6.5, rtol=0.25)
        assert verdict.values == 5
    for off in (bound + 0.01, -0.01 - bound):
        verdict = judged(off)
        assert verdict.fault == "differs"
        assert [array.tolist() for array in verdict.expected] == [a.tolist() for a in ANSWER]
        assert verdict.actual[1][0] == pytest.approx(8.0 + off)


def test_with_a_reference_the_file_runs_once_and_its_outputs_are_the_other_side() -> None:
    calls = []

    def run(inputs: Sequence[np.ndarray]) -> Outputs:
        calls.append(inputs)
        return moved_answer(0, 50.0)

    steps: Any = Steps()
    steps.run = run
    verdict = steps.judged()
    assert [image is PHOTO for (image,) in calls] == [True]
    assert verdict.fault == "differs"
    assert [array.tolist() for array in verdict.expected] == [array.tolist() for array in ANSWER]
    assert verdict.actual[0].tolist() == [4.0, 46.0]


@pytest.mark.parametrize("way", WAYS)
def test_the_allowance_is_that_of_the_outputs_that_are_expected(way: dict[str, Any]) -> None:
    expected = moved_answer(0, 7.0)
    steps = Steps(**way, answers={"none": expected})
    steps.judged()
    assert len(steps.sized) == 1
    assert steps.sized[0] is expected


@pytest.mark.parametrize(("natural", "levels"), [(True, 2), (False, 20)])
def test_the_problem_names_the_photo_and_the_levels(natural: bool, levels: int) -> None:
    steps = Steps(method="static", answers={"photo": moved_answer(0, 9.0)})
    problem = steps.judged(natural).problem
    assert problem.startswith(
        f"a 9 x 7 image differs from Pillow + timm by more than {levels} gray levels would "
        "explain: 5 values, max|d| 9, "
    )


def test_no_outputs_move_by_nothing() -> None:
    answers: dict[str, Outputs] = {move: [] for move in (*MOVES, "none", "photo")}
    verdict = Steps(method="static", answers=answers).judged()
    assert verdict.fault == "differs"
    assert verdict.comparison is not None
    assert (verdict.comparison.problem, verdict.comparison.tolerance) == ("empty", LEAST)


@pytest.mark.parametrize("step", ["preprocess", "classify"])
def test_what_the_python_side_raises_is_not_the_files_fault(step: str) -> None:
    steps = Steps()

    def raises(_: object) -> Any:
        raise ZeroDivisionError

    setattr(steps, step, raises)
    with pytest.raises(ReferenceRaised, match="ZeroDivisionError"):
        steps.judged()


def test_a_distance_is_the_largest_either_way_and_does_not_wrap() -> None:
    low, high = np.array([3, 7, 7], np.uint8), np.array([250, 7, 9], np.uint8)
    assert _distance(low, high) == _distance(high, low) == 247.0
    assert _distance(np.float32([0.25]), np.float32([0.5])) == 0.25
    assert _distance(np.zeros((0, 3)), np.zeros((0, 3))) == 0.0


def explored(
    monkeypatch: pytest.MonkeyPatch, *, spec: object, stated: Preprocessing | None, **other: Any
) -> tuple[PropertyResult, list[Any], list[Any]]:
    """Call the property where nothing is drawn: what it asked for, and what came of it."""
    drawn: list[Any] = []
    searched: list[Any] = []
    monkeypatch.setattr(module, "image_recipes", lambda *a, **k: drawn.append((a, k)) or "strategy")

    def explore(*given: Any) -> PropertyResult:
        searched.append(given)
        return PropertyResult(name="preprocessing", status="noted", reason="held", examples=4)

    monkeypatch.setattr(module, "explore", explore)
    quantization = SimpleNamespace(method=other.get("method", "none"))
    check = SimpleNamespace(
        metadata=SimpleNamespace(input=spec, preprocessing=stated, quantization=quantization),
        reference=other.get("reference", "one"),
        max_pixels=1234,
    )
    result = preprocessing(cast(Check, check))
    for given in searched:
        assert given[0] is check
    return result, drawn, searched


IMAGE = photo_input(min_side=8, max_side=2000)


@pytest.mark.parametrize(
    ("other", "prefix"),
    [
        ({}, ""),
        ({"reference": None}, "resize only, the file against itself on Pillow's resized image; "),
        ({"method": "static"}, "resize only, the file against itself on Pillow's resized image; "),
    ],
)
def test_images_are_drawn_about_the_size_that_is_only_cropped(
    other: dict[str, Any], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(module, "timm_transform", asked.append)
    result, drawn, searched = explored(monkeypatch, spec=IMAGE, stated=SPEC, **other)
    assert asked == [SPEC]
    assert drawn == [((IMAGE,), {"max_pixels": 1234, "scale": 12})]
    assert [given[1:] for given in searched] == [
        ("preprocessing", "strategy", examine_preprocessing)
    ]
    assert (result.name, result.status, result.examples) == ("preprocessing", "noted", 4)
    assert result.reason == prefix + "held"


@pytest.mark.parametrize(("spec", "stated"), [("tensors", SPEC), (IMAGE, None), ("tensors", None)])
def test_tensors_and_images_that_the_app_prepares_are_skipped(
    spec: object, stated: Preprocessing | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "timm_transform", lambda _: None)
    result, drawn, searched = explored(monkeypatch, spec=spec, stated=stated)
    assert (result.name, result.status) == ("preprocessing", "skipped")
    assert result.reason == "the file takes tensors: preprocessing is the app's"
    assert drawn == searched == []


def test_without_timm_it_is_skipped_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> None:
        raise BuildError("timm is not there")

    monkeypatch.setattr(module, "timm_transform", missing)
    result, drawn, searched = explored(monkeypatch, spec=IMAGE, stated=SPEC)
    assert (result.name, result.status) == ("preprocessing", "skipped")
    assert result.reason == "timm is not there"
    assert drawn == searched == []
