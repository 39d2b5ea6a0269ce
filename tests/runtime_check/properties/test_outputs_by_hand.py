"""Outputs against what metadata state of them: shapes, labels, probabilities, classes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from runtime_check.artifact.metadata import Output
from runtime_check.properties.base import Check, Verdict
from runtime_check.properties.golden import examine_metadata

from ...stated import stated_output

Outputs = list[np.ndarray]


def examined(actual: Outputs, output: Output, method: str = "none") -> Verdict:
    """Judge what a file answers by metadata that state this of it."""
    check = SimpleNamespace(
        run=lambda inputs: [array for array in actual if inputs],
        metadata=SimpleNamespace(output=output, quantization=SimpleNamespace(method=method)),
    )
    verdict = examine_metadata(cast(Check, check), [np.zeros(1)], True)
    assert (verdict.fault, bool(verdict)) == (
        ("misstated", False) if verdict.problem else ("", True)
    )
    assert verdict.values == sum(array.size for array in actual)
    assert [array.tolist() for array in verdict.actual] == [array.tolist() for array in actual]
    return verdict


def rows(
    *stated: tuple[list[int], str], activation: str = "none", labels: list[str] | None = None
) -> Output:
    """What metadata state of rows of classes."""
    return Output.model_validate(stated_output(*stated, activation=activation, labels=labels))


def tensor(shape: list[int], axes: str, holds: str, **more: Any) -> dict[str, Any]:
    """What metadata state of one tensor, its axes in words."""
    return {"name": "it", "shape": shape, "axes": axes.split(), "holds": holds, **more}


def stating(*tensors: dict[str, Any], labels: int | None = None, **steps: Any) -> Output:
    """What metadata state of these tensors, of which the first has a step where one is given."""
    names = None if labels is None else [f"class {index}" for index in range(labels)]
    return Output.model_validate({
        "returned": "list",
        "tensors": [{**each, "name": f"{each['name']}_{i}"} for i, each in enumerate(tensors)],
        "added": [{"output": 0, **steps}] if steps else [],
        "labels": names,
    })  # fmt: skip


F32 = "float32"


@pytest.mark.parametrize(
    ("shapes", "stated", "problem"),
    [
        ([(1, 3)], [([1, 3], F32)], ""),
        ([(5, 3)], [([1, 3], F32)], ""),  # of the first golden input: the batch may differ
        ([(1, 1)], [([1, 1], F32)], ""),
        ([(1, 3), (2,)], [([1, 3], F32), ([2], F32)], ""),
        ([], [([1, 3], F32)], "0 outputs, the metadata states 1"),
        ([(1, 3)], [([1, 3], F32), ([2], F32)], "1 outputs, the metadata states 2"),
        ([(1, 3), (2,)], [([1, 3], F32)], "2 outputs, the metadata states 1"),
        (
            [(1, 3)],
            [([1, 3], "float64")],
            "output output_0 is float32 [1, 3], the metadata states float64 [1, 3]",
        ),
        (
            [(3,)],
            [([1, 3], F32)],
            "output output_0 is float32 [3], the metadata states float32 [1, 3]",
        ),
        (
            [(1, 3), (1, 3, 1)],
            [([1, 3], F32), ([1, 3], F32)],
            "output output_1 is float32 [1, 3, 1], the metadata states float32 [1, 3]",
        ),
        (
            [(0, 3)],
            [([1, 3], F32)],
            "output output_0 is float32 [0, 3], the metadata states float32 [1, 3]",
        ),
        ([(0, 4)], [([0, 4], F32)], ""),  # no box was found
        ([(2, 4)], [([0, 4], F32)], ""),
        (
            [(3,)],
            [([1, 3], F32), ([2], F32)],
            "1 outputs, the metadata states 2; "
            "output output_0 is float32 [3], the metadata states float32 [1, 3]",
        ),
    ],
)
def test_outputs_have_the_count_the_dtype_and_the_rank_that_are_stated(
    shapes: list[tuple[int, ...]], stated: list[tuple[list[int], str]], problem: str
) -> None:
    arrays = [np.ones(shape, np.float32) for shape in shapes]
    assert examined(arrays, rows(*stated)).problem == problem


def test_an_output_whose_shape_varies_may_be_empty() -> None:
    nothing = np.zeros((0, 4), np.float32)
    for varies in (True, False):
        stated = stating(tensor([2, 4], "boxes 4", "boxes", varies=varies))
        assert bool(examined([nothing], stated)) is varies
    # Its rank and dtype do not vary.
    stated = stating(tensor([2, 4], "boxes 4", "boxes", varies=True))
    for other in (np.zeros(0, np.float32), np.zeros((0, 4), np.float64)):
        assert not examined([other], stated)


@pytest.mark.parametrize(
    ("shape", "stated", "labels", "problem"),
    [
        ((2, 3), tensor([1, 3], "N classes", "scores"), 3, ""),
        ((2, 3), tensor([1, 3], "N classes", "scores"), 2, "3 classes, and there are 2 labels"),
        ((2, 3), tensor([1, 3], "N classes", "scores"), 1, "3 classes, and there are 1 labels"),
        ((3,), tensor([3], "classes", "logits"), 3, ""),
        ((3,), tensor([3], "classes", "logits"), 4, "3 classes, and there are 4 labels"),
        # Of a map the classes are not the last axis.
        ((1, 3, 4, 5), tensor([1, 3, 4, 5], "N C H W", "scores"), 3, ""),
        ((1, 3, 4, 5), tensor([1, 3, 4, 5], "N C H W", "scores"), 5, "3 classes, and there are 5"),
        # Where nothing lies along classes, labels have no place.
        ((2, 3), tensor([1, 3], "N features", "embedding"), 2, ""),
        ((2, 3), tensor([1, 3], "N classes", "values"), 2, ""),
        ((), tensor([], "", "scores"), 1, ""),
        ((0, 3), tensor([0, 3], "boxes classes", "scores"), 2, "3 classes, and there are 2"),
    ],
)
def test_there_is_a_label_for_each_place_along_the_axis_of_classes(
    shape: tuple[int, ...], stated: dict[str, Any], labels: int, problem: str
) -> None:
    found = examined([np.ones(shape, np.float32)], stating(stated, labels=labels)).problem
    assert found.startswith(f"output it_0 has {problem}") if problem else found == ""


def test_labels_are_counted_on_every_output_of_classes() -> None:
    three, two = np.ones((1, 3), np.float32), np.ones((1, 2), np.float32)
    scores = tensor([1, 3], "N classes", "scores"), tensor([1, 2], "N classes", "logits")
    arrays = [three, two]
    for labels, wrong in ((3, "output it_1 has 2"), (2, "output it_0 has 3")):
        found = examined(arrays, stating(*scores, labels=labels)).problem
        assert found == f"{wrong} classes, and there are {labels} labels"
    embedding = tensor([1, 2], "N features", "embedding")
    assert examined(arrays, stating(scores[0], embedding, labels=3))
    assert not examined([], stating(scores[0], labels=3))


@pytest.mark.parametrize(("method", "slack"), [("none", 1e-5), ("static", 1e-3)])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_probabilities_lie_between_0_and_1(activation: str, method: str, slack: float) -> None:
    def problem(*values: float) -> str:
        array = np.array([[0.5, 0.25, 0.25], values])
        stated = rows(([2, 3], "float64"), activation=activation)
        return examined([array], stated, method).problem

    # At the edge itself, and a little beyond it on either side.
    assert problem(-slack, 0.5, 0.5 + slack) == ""
    assert problem(0.0, 1 + slack, -slack) == ""
    low, high = -1.1 * slack, 1 + 1.1 * slack
    assert problem(low, 0.5, 0.5 - low) == (
        f"output output_0 holds probabilities from {low:.4g} to {0.5 - low:.4g}, not 0 to 1"
    )
    assert problem((1 - high) / 2, high, (1 - high) / 2) == (
        f"output output_0 holds probabilities from {(1 - high) / 2:.4g} to {high:.4g}, not 0 to 1"
    )


@pytest.mark.parametrize(("method", "slack"), [("none", 1e-5), ("static", 1e-3)])
def test_a_softmax_sums_to_1_and_a_sigmoid_need_not(method: str, slack: float) -> None:
    def problem(activation: str, total: float) -> str:
        array = np.array([[total - 0.5, 0.5], [0.5, 0.5]])
        return examined([array], rows(([2, 2], "float64"), activation=activation), method).problem

    for sign in (-1, 1):
        assert problem("softmax", 1 + sign * 0.9 * slack) == ""
        # numpy's own relative tolerance would add 1e-5.
        off = 1 + sign * (slack + 0.5e-5)
        assert problem("softmax", off) == (
            f"output output_0 holds probabilities that sum to {off:.6g}, not 1"
        )
    assert "probabilities that sum to 0.5, " in problem("softmax", 0.5)
    assert problem("sigmoid", 0.6) == problem("sigmoid", 1.4) == ""
    assert problem("none", 40.0) == ""


def test_every_row_sums_to_1() -> None:
    stated = stating(
        tensor([2, 1, 2], "N 1 classes", "probabilities"), function="softmax", axis=2
    )  # fmt: skip
    assert examined([np.array([[[0.5, 0.5]], [[0.5, 0.5]]], np.float32)], stated)
    assert not examined([np.array([[[0.5, 0.5]], [[0.5, 0.4]]], np.float32)], stated)
    # Columns do not have to.
    array = np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)
    assert examined([array], rows(([2, 2], F32), activation="softmax"))
    # Of a map the classes of a pixel do, which lie along the first axis here.
    stated = stating(
        tensor([2, 1, 2], "C H W", "probabilities"), function="softmax", axis=1
    )  # fmt: skip
    assert examined([array.T[:, None]], stated)
    assert not examined([array[:, None]], stated)


def test_probabilities_that_the_module_gave_itself_need_not_sum_to_1() -> None:
    stated = stating(tensor([1, 2], "N classes", "probabilities"))
    assert examined([np.array([[0.9, 0.9]], np.float32)], stated)
    assert not examined([np.array([[0.9, 1.1]], np.float32)], stated)


def test_probabilities_are_the_outputs_that_are_said_to_be_some() -> None:
    scores, boxes = np.array([[0.9, 0.1]], np.float32), np.array([[7.0, -8.0]], np.float32)
    stated = rows(([1, 2], F32), ([1, 2], F32), activation="softmax")
    assert examined([scores, boxes], stated)
    assert not examined([boxes, scores], stated)
    last = stating(tensor([1, 2], "N 2", "boxes"), tensor([1, 2], "N classes", "probabilities"))
    assert examined([boxes, scores], last)
    assert examined([scores, boxes], last).problem.startswith("output it_1 holds probabilities")
    one = rows(([1, 2], F32), activation="softmax")
    assert examined([], one).problem == "0 outputs, the metadata states 1"
    none_found = np.zeros((0, 2), np.float32)
    assert examined([none_found], rows(([0, 2], F32), activation="softmax"))
    # A single number is judged, too.
    assert examined([np.array(0.3, np.float32)], rows(([], F32), activation="sigmoid"))
    assert not examined([np.array(1.3, np.float32)], rows(([], F32), activation="sigmoid"))
    assert not examined([np.array([0.3], np.float32)], rows(([1], F32), activation="softmax"))


@pytest.mark.parametrize("holds", ["class_map", "class_index"])
def test_classes_are_whole_numbers_below_the_count_of_labels(holds: str) -> None:
    def problem(*values: float, labels: int | None = 3, dtype: str = "float32") -> str:
        array = np.array([values]).astype(dtype)
        stated = tensor([1, len(values)], "H W", holds, dtype=dtype)
        return examined([array], stating(stated, labels=labels)).problem

    assert problem(0, 1, 2) == problem(2, 2, dtype="int64") == ""
    assert problem(0, 3) == "output it_0 holds classes from 0 to 3, and there are 3"
    assert (
        problem(0, 255, dtype="uint8") == "output it_0 holds classes from 0 to 255, and there are 3"
    )
    assert problem(-1, 2, dtype="int64").startswith("output it_0 holds classes from -1 to 2")
    assert problem(0.5, 1).startswith("output it_0 holds classes from 0.5 to 1")
    # Without labels nobody knows how many there are.
    assert problem(0, 5000, labels=None) == ""
    assert problem(-1, 2, labels=None) == (
        "output it_0 holds classes from -1 to 2, not whole numbers from 0"
    )
    assert problem(0.5, 1, labels=None)


def test_on_a_photo_255_is_what_the_network_does_not_see() -> None:
    def verdict(*values: int, function: str = "resize", labels: int | None = 3) -> Verdict:
        stated = tensor([1, len(values)], "H W", "class_map", dtype="uint8")
        output = stating(stated, labels=labels, function=function)
        return examined([np.array([values], np.uint8)], output)

    assert verdict(0, 2, 255)
    assert verdict(255, 255)
    assert verdict(0, 2, 255, labels=None)
    assert verdict(3, 255).problem == "output it_0 holds classes from 3 to 3, and there are 3"
    assert not verdict(0, 254)
    assert not verdict(0, 255, function="argmax")


def test_a_mask_is_0_and_1() -> None:
    stated = stating(tensor([1, 3], "H W", "mask"))
    for values, fits in (([0, 1, 1], True), ([1, 1, 1], True), ([0, 0.5, 1], False)):
        assert bool(examined([np.float32([values])], stated)) is fits
    found = examined([np.float32([[-1, 0, 1]])], stated)
    assert found.problem == "output it_0 is a mask of values from -1 to 1, not 0 and 1"
    assert examined([np.float32([[-1, 0, 1]])], stating(tensor([1, 3], "H W", "depth")))


def test_all_that_is_wrong_is_said() -> None:
    stated = rows(([1, 2], F32), ([1], F32), activation="softmax", labels=["a"])
    verdict = examined([np.array([[1.5, 0.6]], np.float32)], stated)
    assert verdict.problem == (
        "1 outputs, the metadata states 2; output output_0 has 2 classes, and there are 1 labels; "
        "output output_0 holds probabilities from 0.6 to 1.5, not 0 to 1; "
        "output output_0 holds probabilities that sum to 2.1, not 1"
    )
