"""Good and bad records of the artifact contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from runtime_check.artifact.metadata import Golden, Metadata, TensorInput, TensorSpec

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


def _as_schema_1_0(record: Json) -> None:
    record["schema_version"] = "1.0"
    del record["provenance"]["seed"]
    record["provenance"]["options"] = {}
    record["provenance"]["licence"] = record["provenance"].pop("license")
    record["capture"]["specialised"] = record["capture"].pop("specialized")


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


def _good_metadata() -> list[Entry]:
    metadata = tiny_metadata()
    tensor_input = TensorInput(tensors=[TensorSpec(shape=[1, 3, 4, 4])], dynamic_batch=True)
    no_labels = metadata.output.model_copy(update={"labels": None})
    bare = metadata.model_copy(
        update={"input": tensor_input, "preprocessing": None, "output": no_labels}
    )
    newer = {"schema_version": "1.9", "added_later": {"x": [1]}}
    return [
        Entry("metadata", "metadata", "ok", None, _edited(metadata, _as_it_is)),
        Entry("metadata_tensor", "metadata", "ok", None, _edited(bare, _as_it_is)),
        _metadata_entry("newer_minor", "ok", None, lambda r: r.update(newer)),
        # `max_aspect` came later than the rest; the contract's default is 32.
        _metadata_entry("no_max_aspect", "ok", None, lambda r: r["input"].pop("max_aspect")),
        # As 0.1.0 wrote it: without `seed`, with `options`, in British spelling.
        _metadata_entry("1_0", "ok", None, _as_schema_1_0),
    ]


def _bad_metadata() -> list[Entry]:
    whole = _edited(tiny_metadata(), _as_it_is)
    cut = whole[: len(whole) // 2]
    return [
        _metadata_entry("newer_major", "unsupported", None, _put("schema_version", value="2.0")),
        _metadata_entry("older_major", "unsupported", None, _put("schema_version", value="0.9")),
        _metadata_entry("no_version", "damaged", None, _drop("schema_version")),
        Entry("metadata_truncated", "metadata", "damaged", None, cut),
        Entry("metadata_empty", "metadata", "damaged", None, ""),
        Entry("metadata_a_list", "metadata", "damaged", None, "[1, 2]\n"),
        _metadata_entry("no_output", "damaged", "output", _drop("output")),
        _metadata_entry(
            "wrong_type", "damaged", "max_side", _put("input", "max_side", value="large")
        ),
        _metadata_entry("unknown_input", "damaged", "input", _put("input", "kind", value="audio")),
    ]


def _golden_records() -> list[Entry]:
    whole = _edited(tiny_golden(), _as_it_is)
    first = ("cases", 0, "inputs", 0)
    # 2^64 + 72 elements: a product that wraps around to the right number of bytes.
    huge = [8, 2305843009213693961, 1]
    return [
        Entry("golden", "golden", "ok", None, whole),
        _golden_entry("newer_major", "unsupported", None, _put("schema_version", value="2.0")),
        Entry("golden_truncated", "golden", "damaged", None, whole[: len(whole) // 2]),
        _golden_entry("no_cases", "damaged", "cases", _put("cases", value=[])),
        _golden_entry("short_tensor", "damaged", None, _put(*first, "shape", value=[4, 7, 3])),
        _golden_entry("huge_shape", "damaged", None, _put(*first, "shape", value=huge)),
        _golden_entry("no_base64", "damaged", None, _put(*first, "data", value="?not base64?")),
    ]


def contract_files() -> dict[str, str]:
    """Write good and bad `metadata.json` and `golden.json` records, and an index of verdicts.

    `contract/index.json` lists them: `record` says which of the two it is, `verdict` what a reader
    must say: `ok`, `unsupported` (another major schema version: the message has the version in it)
    or `damaged` (the message names the field in `field`, where that is not null).
    """
    # A valid record whose parts do not belong together: the reader has to notice.
    one_short = _put("output", "labels", value=LABELS[:-1])
    entries = [*_good_metadata(), *_bad_metadata(), *_golden_records()]
    entries.append(_metadata_entry("label_count", "labels", "labels", one_short))
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
