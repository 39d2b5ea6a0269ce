"""The task, what was added, and the outputs, in words."""

from __future__ import annotations

from exporter.report.outputs import added, output_rows, returned, task_line

from .reports import detections, features, metadata, regression, segmentation


def test_the_line_says_the_task_how_it_is_known_and_what_was_added() -> None:
    assert task_line(metadata()) == (
        "task image-classification: [1, 3], as many as labels; added: softmax over classes"
    )
    assert task_line(metadata(task=None, task_basis="")) == (
        "task unknown; added: softmax over classes"
    )
    assert task_line(features().metadata).endswith("--task says it; added: nothing")


def test_of_several_outputs_it_is_said_which_was_changed() -> None:
    meta = segmentation().metadata
    steps = [
        {"output": 0, "function": "argmax", "axis": 1},
        {"output": 0, "function": "resize"},
        {"output": 1, "function": "normalize", "axis": 1},
    ]
    output = type(meta.output).model_validate({**meta.output.model_dump(), "added": steps})
    assert added(meta.model_copy(update={"output": output})) == (
        "the best class of each pixel (argmax) (mask), the map resized to the photo (mask), "
        "scaled to length 1 (normalize) (area)"
    )


def test_each_output_has_a_row() -> None:
    mask, area = output_rows(segmentation().metadata)
    assert (mask.name, mask.holds, mask.axes) == ("mask", "scores", "C 3 × H 2 × W 3")
    assert (mask.dtype, mask.unit, mask.lies) == ("float32", "", "what the network sees")
    assert (area.name, area.axes, area.unit, area.lies) == ("area", "features 8", "m2", "")
    assert (mask.atol, area.atol) == (3e-4, 2e-5)
    boxes, _, labels = output_rows(detections().metadata)
    assert (boxes.axes, boxes.atol) == ("boxes 2 × 4", None)
    assert (labels.holds, labels.dtype) == ("class index", "int64")


def test_an_output_without_dimensions_is_one_number() -> None:
    output = regression().metadata.output.model_dump()
    output["tensors"][0].update(shape=[], axes=[])
    assert output_rows(metadata(output=output))[0].axes == "one number"


def test_many_outputs_are_only_named() -> None:
    assert returned(regression().metadata) == "age: values in years, features 1, float32"
    assert returned(detections().metadata) == "3 outputs: boxes, scores, labels"
    tensors = [{"name": f"y{i}", "shape": [1], "axes": ["N"]} for i in range(9)]
    many = metadata(output={"returned": "list", "tensors": tensors, "labels": None})
    assert returned(many) == "9 outputs: y0, y1, y2, ..."
