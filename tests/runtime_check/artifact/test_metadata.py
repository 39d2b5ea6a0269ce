"""The contract: versions, and golden bytes that fit their shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime_check import UnreadableArtifact, UnsupportedSchema, read_artifact
from runtime_check.artifact.metadata import parse_metadata
from runtime_check.testing.archives import (
    with_metadata,
)


def test_a_newer_major_schema_is_refused_and_a_newer_minor_read(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    def newer(version: str) -> Callable[[dict[str, Any]], None]:
        return lambda metadata: metadata.update(schema_version=version, unheard_of=[1, 2])

    path = with_metadata(tensor_ptl.path, tmp_path / "major.ptl", newer("3.0"))
    with pytest.raises(UnsupportedSchema, match=r"3\.0, this release reads 2\.x\. Update"):
        read_artifact(path)
    read_artifact(with_metadata(tensor_ptl.path, tmp_path / "minor.ptl", newer("2.7")))
    old = with_metadata(tensor_ptl.path, tmp_path / "old.ptl", newer("1.1"))
    with pytest.raises(
        UnsupportedSchema, match=r"1\.1, this release reads 2\.x\. Export the model"
    ):
        read_artifact(old)


@pytest.mark.parametrize(
    "version", ["1", "1.", "one", "1.1.1", "1_0.1", "9" * 5000, 1.1, [1], None]
)
def test_a_version_that_is_none_is_refused(version: Any) -> None:
    with pytest.raises(UnreadableArtifact) as caught:
        parse_metadata(json.dumps({"schema_version": version}).encode())
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        b'{"schema_version": "1.1", "schema_version": "1.1"}',
        b'{"schema_version": "1.1", "a": NaN}',
        b'{"schema_version": "1.1", "a": ' + b"[" * 100_000,
        b'{"schema_version": "1.1", "a": [' + b"[]," * 300_000,
    ],
)
def test_json_that_is_not_parsed_is_refused(text: bytes) -> None:
    with pytest.raises(UnreadableArtifact, match="is not the JSON this tool writes: it "):
        parse_metadata(text)
