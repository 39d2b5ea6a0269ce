from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from .same_bytes import compare_files, main

BASE: dict[str, Any] = {
    "data.pkl": "weights",
    "extra/metadata.json": {"schema_version": "1.0", "ledger": [{"stage": "eager fp32"}]},
    "extra/golden.json": {"schema_version": "1.0", "cases": [{"data": "AAAA"}]},
}


def archive(path: Path, records: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w") as stream:
        for name, value in records.items():
            text = value if isinstance(value, str) else json.dumps(value)
            stream.writestr(f"archive/{name}", text)
    return path


@pytest.mark.parametrize(
    ("changed", "wrong", "meant"),
    [
        ({}, [], []),
        ({"data.pkl": "other weights"}, ["data.pkl"], []),
        ({"constants.pkl": "new"}, ["constants.pkl"], []),
        (
            {"extra/metadata.json": {"schema_version": "1.1", "ledger": [{"stage": "eager"}]}},
            [],
            [
                "extra/metadata.json ledger[0].stage: eager fp32 -> eager",
                "extra/metadata.json schema_version: 1.0 -> 1.1",
            ],
        ),
        (
            {"extra/golden.json": {"schema_version": "1.1", "cases": [{"data": "BBBB"}]}},
            ["extra/golden.json cases[0].data: AAAA -> BBBB"],
            ["extra/golden.json schema_version: 1.0 -> 1.1"],
        ),
    ],
)
def test_differences_are_told_apart(
    tmp_path: Path, changed: dict[str, Any], wrong: list[str], meant: list[str]
) -> None:
    before = archive(tmp_path / "before.ptl", BASE)
    after = archive(tmp_path / "after.ptl", BASE | changed)
    assert compare_files(before, after) == (wrong, meant)


def test_an_unknown_reference_is_refused_before_anything_runs() -> None:
    assert main(["HEAD", "resnet"]) == main([]) == 2
