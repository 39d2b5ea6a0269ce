"""The fixtures all three languages share: committed bytes, and verdicts that Python agrees with."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from runtime_check.artifact.archive import read_artifact
from runtime_check.artifact.metadata import Metadata, SampledData, parse_golden, parse_metadata
from runtime_check.bench.format import read_bench
from runtime_check.errors import Doubt, NotVouchedFor, UnreadableArtifact, UnsupportedSchema
from runtime_check.signing import read_public_key
from runtime_check.tasks import Task

from .golden.tiny import Json
from .golden_files import FOLDER, golden_files, tiny_forward

INDEX = json.loads((FOLDER / "contract/index.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(golden_files()))
def test_regenerating_gives_the_committed_bytes(name: str) -> None:
    made = golden_files()[name].encode()
    assert (FOLDER / name).read_bytes() == made, "run: python -m tests.mobile.golden_files"


def test_no_fixture_is_left_over() -> None:
    made = {*golden_files(), *(f"{n}.schema.json" for n in ("benchmark", "golden", "metadata"))}
    there = {p.relative_to(FOLDER).as_posix() for p in FOLDER.rglob("*.json")}
    assert there == made


@pytest.mark.parametrize("entry", INDEX["files"], ids=lambda e: e["file"])
def test_python_gives_the_verdict_of_the_index(entry: dict[str, str]) -> None:
    text = (FOLDER / "contract" / entry["file"]).read_bytes()
    parse = parse_metadata if entry["record"] == "metadata" else parse_golden

    def read() -> None:
        record = parse(text)
        if not isinstance(record, Metadata):
            for case in record.cases:
                for tensor in (*case.inputs, *case.expected):
                    tensor.array()

    if entry["verdict"] in ("ok", "labels"):
        read()
        return
    error = UnsupportedSchema if entry["verdict"] == "unsupported" else UnreadableArtifact
    with pytest.raises(error) as caught:
        read()
    if entry["field"]:
        assert entry["field"] in str(caught.value)


@pytest.mark.parametrize("name", ["label_count", "label_count_map"])
def test_the_label_count_fixtures_are_wrong_in_that_alone(name: str) -> None:
    metadata = parse_metadata((FOLDER / f"contract/metadata_{name}.json").read_bytes())
    assert metadata.output.labels is not None
    places = {t.shape[t.class_axis] for t in metadata.output.tensors if t.class_axis is not None}
    assert places
    assert len(metadata.output.labels) not in places


def test_the_tiny_model_gives_its_golden_outputs() -> None:
    golden = parse_golden((FOLDER / "contract/golden.json").read_bytes())
    for case in golden.cases:
        output = tiny_forward(case.inputs[0].array())
        expected = case.expected[0]
        assert np.array_equal(expected.of_same_places(output), expected.array())
    assert [case.expected[0].is_whole for case in golden.cases] == [True, True, False]


def test_the_checks_hold_both_verdicts_and_every_problem() -> None:
    checks = json.loads((FOLDER / "golden_checks.json").read_text(encoding="utf-8"))["checks"]
    problems = {check["problem"] for check in checks}
    assert problems == {None, "count", "shape", "dtype", "nonfinite", "values", "empty"}
    assert all(check["passes"] == (check["problem"] is None) for check in checks)
    for check in checks:
        for tensor in (*check["expected"], *check["actual"]):
            SampledData.model_validate(tensor).array()
    # What only the figures of all values give away is found.
    (found,) = [c for c in checks if c["name"] == "sampled, only the mean off"]
    (unseen,) = [c for c in checks if c["name"] == "sampled, two others off, unseen"]
    assert (found["problem"], unseen["problem"]) == ("values", None)
    (stray,) = [c for c in checks if c["name"] == "sampled, NaN at a place not held"]
    assert stray["problem"] == "nonfinite"


@pytest.mark.parametrize("platform", ["ios", "android"])
def test_the_benchmark_is_one_the_tool_imports(platform: str) -> None:
    path: Path = FOLDER / f"benchmark_{platform}.json"
    assert read_bench(path).devices[0].device.platform == platform


RESULTS = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))["cases"]


def test_the_results_are_of_every_task_and_of_every_kind() -> None:
    assert {case["task"] for case in RESULTS} == {None, *get_args(Task)}
    assert {case["content"]["kind"] for case in RESULTS} == {
        "classes", "class_map", "depth", "boxes", "key_points", "picture", "embedding", "numbers",
        "tensors",
    }  # fmt: skip
    assert len({case["name"] for case in RESULTS}) == len(RESULTS)


@pytest.mark.parametrize("case", RESULTS, ids=lambda case: str(case["name"]))
def test_a_result_is_of_metadata_that_the_contract_knows(case: Json) -> None:
    record = json.loads((FOLDER / "contract/metadata.json").read_text(encoding="utf-8"))
    record.update(task=case["task"], output=case["output"])
    metadata = parse_metadata(json.dumps(record).encode())
    assert len(case["outputs"]) == len(metadata.output.tensors)
    for given, spec in zip(case["outputs"], metadata.output.tensors, strict=True):
        array = SampledData.model_validate(given).array()
        assert str(array.dtype) == spec.dtype
        assert spec.varies or list(array.shape) == spec.shape


SIGNED = json.loads((FOLDER / "signed.json").read_text(encoding="utf-8"))
GOOD = base64.b64decode(SIGNED["good"])


def signed_file(case: Json, good: bytes = GOOD) -> bytes:
    parts = [
        base64.b64decode(piece) if isinstance(piece, str) else good[piece[0] : sum(piece)]
        for piece in case["pieces"]
    ]
    return b"".join(parts)


@pytest.mark.parametrize("case", SIGNED["cases"], ids=lambda case: str(case["name"]))
def test_python_gives_the_verdict_of_a_signed_file(case: Json, tmp_path: Path) -> None:
    path = tmp_path / "tiny.ptl"
    path.write_bytes(signed_file(case))
    key = read_public_key(SIGNED["public_key"])
    if case["verdict"] == "signed":
        signature = read_artifact(path, verify_key=key).signature
        assert signature is not None
        assert vars(signature) == {
            "key_id": SIGNED["key_id"], "comment": SIGNED["comment"], "verified": True,
        }  # fmt: skip
        return
    with pytest.raises((NotVouchedFor, UnreadableArtifact)) as caught:
        read_artifact(path, verify_key=key)
    assert getattr(caught.value, "doubt", "odd-zip") == case["verdict"]


def test_the_signed_fixtures_hold_every_verdict() -> None:
    verdicts = {case["verdict"] for case in SIGNED["cases"]}
    assert verdicts == {"signed", *get_args(Doubt), "odd-zip"}
    assert len({case["name"] for case in SIGNED["cases"]}) == len(SIGNED["cases"])


def test_the_tampered_files_differ_from_the_good_one_as_they_say() -> None:
    files = {case["name"]: signed_file(case) for case in SIGNED["cases"]}
    good, bit = files["good"], files["one bit of a weight"]
    assert good == GOOD
    # The weight itself, and its checksum, twice: beside the data and in the directory.
    changed = [i for i, (a, b) in enumerate(zip(good, bit, strict=True)) if a != b]
    assert 3 <= len(changed) <= 9
    assert len(set(files.values())) == len(files)


PROGRAMS = json.loads((FOLDER / "programs.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", PROGRAMS["cases"], ids=lambda case: str(case["name"]))
def test_python_gives_the_verdict_of_a_file_with_a_program(case: Json, tmp_path: Path) -> None:
    path = tmp_path / "tiny.pte"
    path.write_bytes(signed_file(case, base64.b64decode(PROGRAMS["good"])))
    key = read_public_key(PROGRAMS["public_key"])
    for verify_key in (None, key):
        if case["verdict"] == "whole":
            read = read_artifact(path, verify_key=verify_key)
            assert read.metadata.program is not None
            assert read.program_bytes == len(base64.b64decode(PROGRAMS["program"]))
            assert len(read.golden.cases) == 3
            continue
        assert case["verdict"] == "damaged"
        with pytest.raises(UnreadableArtifact, match=re.escape(case["says"])):
            read_artifact(path, verify_key=verify_key)
        assert case["says"]
