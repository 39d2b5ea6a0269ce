"""What a file may state of its outputs, and how that is said."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runtime_check.artifact.output import Output, OutputTensor, Step, describe_output


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "scores", "shape": [1, 3], "axes": ["N", "classes"], **changes}


def output(*tensors: dict[str, Any], **changes: Any) -> Output:
    given = {"returned": "list", "tensors": tensors or [tensor()], "labels": None, **changes}
    return Output.model_validate(given)


def test_the_least_that_has_to_be_stated() -> None:
    made = output(returned="tensor")
    assert made.tensors[0] == OutputTensor(
        name="scores", shape=[1, 3], axes=["N", "classes"], dtype="float32", holds="values",
        unit=None, space=None, varies=False,
    )  # fmt: skip
    assert (made.added, made.labels) == ([], None)
    for missing in ("name", "shape", "axes"):
        less = tensor()
        del less[missing]
        with pytest.raises(ValidationError, match=missing):
            output(less)
    for name in ("returned", "tensors", "labels"):
        given = {"returned": "list", "tensors": [tensor()], "labels": None}
        del given[name]
        with pytest.raises(ValidationError, match=name):
            Output.model_validate(given)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"axes": ["classes"]}, "1 axes for a shape of 2"),
        ({"axes": ["N", "C", "H"]}, "3 axes for a shape of 2"),
        ({"axes": ["N", ""]}, "an axis is a word or a number"),
        ({"axes": ["N", "c" * 31]}, "an axis is a word or a number"),
        ({"name": ""}, "name"),
        ({"holds": "something"}, "holds"),
        ({"space": "screen"}, "space"),
        ({"dtype": "float16"}, "dtype"),
        ({"shape": [-1, 3]}, "shape"),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        output(tensor(**changes))


def test_what_is_just_within_bounds_passes() -> None:
    long = output(tensor(axes=["N", "c" * 30])).tensors[0]
    assert long.axes[1] == "c" * 30
    scalar = output(tensor(shape=[], axes=[])).tensors[0]
    assert (scalar.shape, scalar.class_axis) == ([], None)
    many = [tensor(name=f"output_{i}") for i in range(64)]
    assert len(output(*many).tensors) == 64
    with pytest.raises(ValidationError, match="tensors"):
        output(*many, tensor(name="output_64"))
    with pytest.raises(ValidationError, match="tensors"):
        Output.model_validate({"returned": "list", "tensors": [], "labels": None})


@pytest.mark.parametrize(
    ("tensors", "changes", "words"),
    [
        ([tensor(), tensor()], {}, "two outputs of one name"),
        (
            [tensor(), tensor(name="boxes")],
            {"returned": "tensor"},
            "one tensor returned, and 2 described",
        ),
        ([tensor()], {"returned": "tuple"}, "returned"),
        (
            [tensor()],
            {"added": [{"output": 1, "function": "softmax"}]},
            "a step added to output 1 of 1",
        ),
    ],
)
def test_outputs_that_contradict_each_other_are_refused(
    tensors: list[dict[str, Any]], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        output(*tensors, **changes)


def test_a_list_may_be_of_one() -> None:
    assert output(tensor()).returned == "list"


@pytest.mark.parametrize(
    "step",
    [
        {"output": -1, "function": "softmax"},
        {"output": 64, "function": "softmax"},
        {"output": 0, "function": "relu"},
        {"output": 0, "function": "none"},
        {"output": 0, "function": "softmax", "axis": -1},
        {"output": 0, "function": "softmax", "axis": 8},
        {"output": 0},
    ],
)
def test_steps_are_of_what_is_known(step: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Step.model_validate(step)


def test_steps_belong_to_an_output_in_their_order() -> None:
    steps = [
        {"output": 1, "function": "argmax", "axis": 1},
        {"output": 0, "function": "softmax", "axis": 7},
        {"output": 1, "function": "resize"},
    ]
    made = output(tensor(), tensor(name="map"), tensor(name="other"), added=steps)
    assert [step.function for step in made.steps(1)] == ["argmax", "resize"]
    assert [(step.function, step.axis) for step in made.steps(0)] == [("softmax", 7)]
    assert made.steps(2) == made.steps(3) == []
    assert made.steps(1)[1].axis is None


@pytest.mark.parametrize(
    ("axes", "holds", "axis"),
    [
        (["N", "classes"], "scores", 1),
        (["N", "C", "H", "W"], "logits", 1),
        (["classes"], "probabilities", 0),
        (["C", "H", "W"], "probabilities", 0),
        (["boxes", "classes"], "scores", 1),
        # Numbers that rank nothing, and axes along which no class has a place.
        (["N", "C", "H", "W"], "image", None),
        (["N", "classes"], "values", None),
        (["N", "C"], "embedding", None),
        (["H", "W"], "class_map", None),
        (["boxes"], "class_index", None),
        (["N", "features"], "scores", None),
        (["N", "c"], "scores", None),
        ([], "scores", None),
    ],
)
def test_classes_lie_along_the_axis_of_their_name(
    axes: list[str], holds: str, axis: int | None
) -> None:
    made = output(tensor(shape=[2] * len(axes), axes=axes, holds=holds)).tensors[0]
    assert made.class_axis == axis


@pytest.mark.parametrize(
    ("stated", "added", "said"),
    [
        (
            {"name": "logits", "shape": [1000], "axes": ["classes"], "holds": "probabilities"},
            ["softmax"],
            "logits: probabilities (softmax), classes 1000, float32",
        ),
        (
            {"name": "out", "shape": [1, 21, 8, 9], "axes": [*"NCHW"], "holds": "scores"},
            [],
            "out: scores, N 1 x C 21 x H 8 x W 9, float32",
        ),
        (
            {
                "name": "map", "shape": [8, 9], "axes": ["H", "W"], "holds": "class_map",
                "dtype": "uint8",
            },
            ["argmax", "resize"],
            "map: class map (argmax, resize), H 8 x W 9, uint8",
        ),
        (
            {"name": "age", "shape": [1, 1], "axes": ["N", "1"], "unit": "years"},
            [],
            "age: values in years, N 1 x 1, float32",
        ),
        (
            {"name": "boxes", "shape": [5, 4], "axes": ["boxes", "4"], "holds": "boxes"},
            [],
            "boxes: boxes, boxes 5 x 4, float32",
        ),
    ],
)  # fmt: skip
def test_an_output_is_said_in_one_line(stated: dict[str, Any], added: list[str], said: str) -> None:
    steps = [{"output": 1, "function": function} for function in added]
    other = {"output": 0, "function": "normalize"}  # of the other output
    made = output(tensor(name="first"), stated, added=[other, *steps])
    assert describe_output(made, 1) == said
