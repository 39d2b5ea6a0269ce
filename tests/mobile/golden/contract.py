"""Good and bad records of the artifact contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from runtime_check.artifact.metadata import (
    Detection,
    Golden,
    InputTensor,
    Metadata,
    Output,
    OutputTensor,
    TensorInput,
)

from .tiny import LABELS, Json, text, tiny_forward, tiny_golden, tiny_metadata

Edit = Callable[[Json], object]


def _as_it_is(record: Json) -> None:
    pass


def _edited(record: Metadata | Golden, edit: Edit) -> str:
    value = json.loads(record.model_dump_json())
    edit(value)
    return text(value)


def _put(*path: str | int, value: Json) -> Edit:
    def edit(record: Json) -> None:
        for key in path[:-1]:
            record = record[key]
        record[path[-1]] = value

    return edit


def _drop(key: str) -> Edit:
    return lambda record: record.pop(key)


class Entry(NamedTuple):
    """A record, what a reader must say of it, and the field its message must name, if any."""

    name: str
    record: str
    verdict: str
    field: str | None
    text: str


def _metadata_entry(name: str, verdict: str, field: str | None, edit: Edit) -> Entry:
    return Entry(f"metadata_{name}", "metadata", verdict, field, _edited(tiny_metadata(), edit))


def _golden_entry(name: str, verdict: str, field: str | None, edit: Edit) -> Entry:
    return Entry(f"golden_{name}", "golden", verdict, field, _edited(tiny_golden(), edit))


def _of_tensors() -> Metadata:
    """Describe a bare network with two inputs of different dtype, one class in a batch of one."""
    inputs = [
        InputTensor(name="pixels", shape=[1, 3, 4, 4]),
        InputTensor(name="age", shape=[1, 2], dtype="int64", low=0, high=99),
    ]
    scores = OutputTensor(name="output_0", shape=[1, 5], axes=["N", "classes"], holds="logits")
    return tiny_metadata().model_copy(
        update={
            "input": TensorInput(tensors=inputs, dynamic_batch=True),
            "preprocessing": None,
            "output": Output(returned="tensor", tensors=[scores], labels=None),
        }
    )


def _segmentation() -> Metadata:
    """Describe scores for every pixel of the network's picture, and a row of classes beside."""
    tensors = [
        OutputTensor(
            name="out", shape=[3, 4, 4], axes=["C", "H", "W"], holds="logits", space="network"
        ),
        OutputTensor(name="scene", shape=[3], axes=["classes"], holds="probabilities"),
    ]
    labels = ["background", "cat", "dog"]
    return tiny_metadata().model_copy(
        update={
            "task": "image-segmentation",
            "output": Output(returned="list", tensors=tensors, labels=labels),
        }
    )


def _detector() -> Metadata:
    """Describe boxes, as many as there are in the photo."""
    tensors = [
        OutputTensor(
            name="boxes", shape=[2, 4], axes=["boxes", "4"], holds="boxes", space="network",
            varies=True,
        ),
        OutputTensor(
            name="labels", shape=[2], dtype="int64", axes=["boxes"], holds="class_index",
            varies=True,
        ),
        OutputTensor(name="scores", shape=[2], axes=["boxes"], holds="scores", varies=True),
    ]  # fmt: skip
    return tiny_metadata().model_copy(
        update={
            "task": "object-detection",
            "output": Output(
                returned="list",
                tensors=tensors,
                labels=LABELS,
                detection=Detection(score_threshold=0.25, iou_threshold=0.5, max_detections=300),
            ),
        }
    )


def _good_metadata() -> list[Entry]:
    newer = {"schema_version": "2.9", "added_later": {"x": [1]}}
    no_task = _put("task", value=None)
    return [
        Entry("metadata", "metadata", "ok", None, _edited(tiny_metadata(), _as_it_is)),
        Entry("metadata_tensor", "metadata", "ok", None, _edited(_of_tensors(), _as_it_is)),
        Entry("metadata_segmentation", "metadata", "ok", None, _edited(_segmentation(), _as_it_is)),
        Entry("metadata_detector", "metadata", "ok", None, _edited(_detector(), _as_it_is)),
        _metadata_entry("no_task", "ok", None, no_task),
        _metadata_entry("newer_minor", "ok", None, lambda r: r.update(newer)),
        # The contract has a default, 32.
        _metadata_entry("no_max_aspect", "ok", None, lambda r: r["input"].pop("max_aspect")),
    ]


def _bad_metadata() -> list[Entry]:
    whole = _edited(tiny_metadata(), _as_it_is)
    cut = whole[: len(whole) // 2]
    tensor = ("output", "tensors", 0)
    one_name = _put("output", "tensors", 1, "name", value="out")
    return [
        _metadata_entry("newer_major", "unsupported", None, _put("schema_version", value="3.0")),
        _metadata_entry("older_major", "unsupported", None, _put("schema_version", value="1.1")),
        _metadata_entry("no_version", "damaged", None, _drop("schema_version")),
        Entry("metadata_truncated", "metadata", "damaged", None, cut),
        Entry("metadata_empty", "metadata", "damaged", None, ""),
        Entry("metadata_a_list", "metadata", "damaged", None, "[1, 2]\n"),
        _metadata_entry("no_output", "damaged", "output", _drop("output")),
        _metadata_entry(
            "wrong_type", "damaged", "max_side", _put("input", "max_side", value="large")
        ),
        _metadata_entry("unknown_input", "damaged", "input", _put("input", "kind", value="audio")),
        _metadata_entry("unknown_task", "damaged", "task", _put("task", value="mind-reading")),
        _metadata_entry("unknown_color", "damaged", "color", _put("input", "color", value="CMYK")),
        _metadata_entry("no_geometry", "damaged", "geometry", lambda r: r["input"].pop("geometry")),
        _metadata_entry(
            "wrong_resize", "damaged", "resize", _put("input", "geometry", "resize", value="zoom")
        ),
        # One edge's length and the ratio of the sides leave nothing to fit into.
        _metadata_entry(
            "fit_down", "damaged", "geometry", _put("input", "geometry", "resize", value="fit")
        ),
        _metadata_entry("axes", "damaged", "axes", _put(*tensor, "axes", value=["N", "classes"])),
        _metadata_entry("holds", "damaged", "holds", _put(*tensor, "holds", value="secrets")),
        _metadata_entry("no_outputs", "damaged", "tensors", _put("output", "tensors", value=[])),
        Entry(
            "metadata_one_name", "metadata", "damaged", "output", _edited(_segmentation(), one_name)
        ),
        # Two outputs in one tensor.
        Entry(
            "metadata_returned", "metadata", "damaged", "output",
            _edited(_segmentation(), _put("output", "returned", value="tensor")),
        ),
    ]  # fmt: skip


def _label_counts() -> list[Entry]:
    """Make valid records whose parts do not belong together: the apps have to notice."""
    one_short = _put("output", "labels", value=LABELS[:-1])
    two = _edited(_segmentation(), _put("output", "labels", value=["cat", "dog"]))
    return [
        _metadata_entry("label_count", "labels", "labels", one_short),
        Entry("metadata_label_count_map", "metadata", "labels", "labels", two),
    ]


def _golden_records() -> list[Entry]:
    whole = _edited(tiny_golden(), _as_it_is)
    first = ("cases", 0, "inputs", 0)
    sampled = ("cases", 2, "expected", 0)
    # 2^64 + 72 elements: a product that wraps around to the right number of bytes.
    huge = [8, 2305843009213693961, 1]
    return [
        Entry("golden", "golden", "ok", None, whole),
        _golden_entry("newer_major", "unsupported", None, _put("schema_version", value="3.0")),
        _golden_entry("older_major", "unsupported", None, _put("schema_version", value="1.1")),
        Entry("golden_truncated", "golden", "damaged", None, whole[: len(whole) // 2]),
        _golden_entry("no_cases", "damaged", "cases", _put("cases", value=[])),
        _golden_entry("short_tensor", "damaged", None, _put(*first, "shape", value=[4, 7, 3])),
        _golden_entry("huge_shape", "damaged", None, _put(*first, "shape", value=huge)),
        _golden_entry("no_base64", "damaged", None, _put(*first, "data", value="?not base64?")),
        # A quarter of the places, but the bytes of half of them.
        _golden_entry("short_sample", "damaged", None, _put(*sampled, "stride", value=4)),
        _golden_entry("no_stride", "damaged", "stride", _put(*sampled, "stride", value=0)),
        _golden_entry("start", "damaged", "start", _put(*sampled, "start", value=2)),
    ]


def contract_files() -> dict[str, str]:
    """Write good and bad `metadata.json` and `golden.json` records, and an index of verdicts.

    `contract/index.json` lists them: `record` says which of the two it is, `verdict` what a reader
    must say: `ok`, `unsupported` (another major schema version: the message has the version in
    it), `damaged` (the message names the field in `field`, where that is not null) or `labels`: an
    app refuses labels where outputs have a class axis and none of them has as many places. An axis
    of another number beside one that fits has no labels.
    """
    entries = [*_good_metadata(), *_bad_metadata(), *_golden_records(), *_label_counts()]
    files = {f"contract/{entry.name}.json": entry.text for entry in entries}
    index = {
        "about": contract_files.__doc__,
        "files": [
            {"file": f"{e.name}.json", "record": e.record, "verdict": e.verdict, "field": e.field}
            for e in entries
        ],
        "tiny_model": tiny_forward.__doc__,
    }
    files["contract/index.json"] = text(index)
    return files
