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
from runtime_check.metrics import Metric
from runtime_check.properties.base import Check, ReferenceRaised, Verdict
from runtime_check.properties.preprocessing import (
    _distance,
    examine_preprocessing,
)

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
LEAST = Tolerance(atol=0.5, outputs=(0.25, 0.5), rtol=0.25)
METRIC = Metric(kind="classes", outputs=2)
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

    def classify(self, tensor: torch.Tensor, image: np.ndarray) -> Outputs:
        assert image is PHOTO
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
            metric=METRIC,
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
def test_the_bound_of_an_output_is_twice_its_own_largest_move(
    move: str, output: int, way: dict[str, Any]
) -> None:
    """One move changes `output` by 3, the others change the other one by 1."""

    def judged(at: int, off: float) -> Verdict:
        photo = [array.copy() for array in ANSWER]
        photo[at][0] += off
        answers = {other: moved_answer(1 - output, 1.0) for other in MOVES}
        answers |= {move: moved_answer(output, -3.0), "photo": photo}
        if not way:
            steps: Any = Steps(**way, answers=answers)
            steps.run = lambda inputs: photo
            return steps.judged()
        return Steps(**way, answers=answers).judged()

    atols = (2 * 3.0 + 0.25, 2 * 1.0 + 0.5) if output == 0 else (2 * 1.0 + 0.25, 2 * 3.0 + 0.5)
    for at, first in ((0, 4.0), (1, 8.0)):
        bound = atols[at] + 0.25 * first
        for off in (bound - 0.01, 0.01 - bound):
            verdict = judged(at, off)
            assert verdict
            assert verdict.comparison is not None
            tolerance = Tolerance(atol=max(atols), outputs=atols, rtol=0.25)
            assert verdict.comparison.tolerance == tolerance
            assert verdict.values == 5
        for off in (bound + 0.01, -0.01 - bound):
            verdict = judged(at, off)
            assert verdict.fault == "differs"
            assert [array.tolist() for array in verdict.expected] == [a.tolist() for a in ANSWER]
            assert verdict.actual[at][0] == pytest.approx(first + off)


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
    assert verdict.comparison.problem == "empty"
    assert verdict.comparison.tolerance == Tolerance(atol=0.5, rtol=0.25)


@pytest.mark.parametrize("step", ["preprocess", "classify"])
def test_what_the_python_side_raises_is_not_the_files_fault(step: str) -> None:
    steps = Steps()

    def raises(*_: object) -> Any:
        raise ZeroDivisionError

    setattr(steps, step, raises)
    with pytest.raises(ReferenceRaised, match="ZeroDivisionError"):
        steps.judged()


def test_a_distance_is_the_largest_either_way_and_of_whole_numbers_a_share() -> None:
    low, high = np.array([3, 7, 7, 7], np.uint8), np.array([250, 7, 7, 8], np.uint8)
    assert _distance(low, high) == _distance(high, low) == 0.5
    assert _distance(np.array([True, False]), np.array([True, True])) == 0.5
    assert _distance(low, low) == _distance(low[:0], low[:0]) == 0.0
    assert _distance(np.float32([0.25, 3.0]), np.float32([0.5, 3.1])) == 0.25
    # Of more or fewer boxes nothing can be said.
    assert _distance(np.ones((2, 4)), np.zeros((3, 4))) == _distance(low, low[:1]) == 0.0
    assert _distance(np.zeros((0, 3)), np.zeros((0, 3))) == 0.0


CLASSES = np.array([5, 5, 5, 5, 5, 5, 5, 5], np.int64)


def flipped(count: int) -> np.ndarray:
    """The map, but for the last pixels, whose classes are far away."""
    found = CLASSES.copy()
    found[len(found) - count :] = 200
    return found


@pytest.mark.parametrize("with_scores", [False, True], ids=["alone", "with scores"])
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize(
    ("moved", "off", "holds"), [(0, 1, True), (0, 2, False), (1, 3, True), (1, 4, False)]
)
def test_of_whole_numbers_twice_as_many_may_differ_as_a_move_makes_and_one(
    moved: int, off: int, holds: bool, move: str, with_scores: bool
) -> None:
    scores = ANSWER[:1] if with_scores else []
    answers = {other: [*scores, CLASSES] for other in (*MOVES, "none")}
    answers |= {move: [*scores, flipped(moved)], "photo": [*scores, flipped(off)]}
    verdict = Steps(method="static", answers=answers).judged()
    assert bool(verdict) is holds
    assert verdict.comparison is not None
    share = 2 * moved / 8 + 1 / 8
    tolerance = verdict.comparison.tolerance
    assert (tolerance.outputs or (tolerance.atol,))[-1] == share
    # Classes have no distance, and the share of them that flipped is what is shown.
    assert verdict.comparison.max_abs == off / 8
    assert verdict.actual[-1].tolist() == flipped(off).tolist()
    assert verdict.expected[-1].tolist() == CLASSES.tolist()


def boxes(count: int, at: float) -> Outputs:
    """As many boxes at one place, and their scores."""
    return [np.full((count, 4), at, np.float32), np.full(count, 0.5, np.float32)]


def test_where_a_gray_level_decides_how_many_boxes_there_are_as_many_are_compared() -> None:
    def judged(photo: Outputs, first: Outputs) -> Verdict:
        answers = {move: boxes(2, 9.0) for move in (*MOVES, "none")}
        return Steps(method="static", answers={**answers, "first": first, "photo": photo}).judged()

    verdict = judged(boxes(3, 70.0), boxes(3, 70.0))
    assert verdict
    assert [array.shape for array in verdict.expected] == [(3, 4), (3,)]
    # Three boxes elsewhere are others.
    assert judged(boxes(3, 170.0), boxes(3, 70.0)).fault == "differs"
    # No move gives four, nor is one output alone enough.
    for photo in (boxes(4, 9.0), [boxes(3, 70.0)[0], boxes(2, 70.0)[1]]):
        wrong = judged(photo, boxes(3, 70.0))
        assert wrong.comparison is not None
        assert wrong.comparison.problem == "shape"
        assert [array.shape for array in wrong.expected] == [(2, 4), (2,)]


def test_whole_numbers_of_another_shape_or_count_are_not_compared() -> None:
    answers = {move: [CLASSES] for move in (*MOVES, "none")}
    for photo, problem in (([CLASSES[:4]], "shape"), ([], "count"), ([CLASSES] * 2, "count")):
        verdict = Steps(method="static", answers={**answers, "photo": photo}).judged()
        assert verdict.comparison is not None
        assert verdict.comparison.problem == problem


def test_classes_are_ranked_on_the_output_that_has_them() -> None:
    verdict = Steps(method="static", answers={"photo": moved_answer(1, 9.0)}).judged()
    assert verdict.comparison is not None
    assert verdict.comparison.top1 == 1.0  # of [4, -4]; the second has another best one
    mapped = {move: [ANSWER[0], CLASSES] for move in (*MOVES, "none", "photo")}
    found = Steps(method="static", answers=mapped).judged().comparison
    assert found is not None
    assert found.top1 is None


def test_where_nothing_is_found_no_class_differs() -> None:
    nothing = [ANSWER[0], np.zeros(0, np.int64)]
    answers = dict.fromkeys((*MOVES, "none", "photo"), nothing)
    assert Steps(method="static", answers=answers).judged()
