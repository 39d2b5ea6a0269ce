"""JSON that would cost too much, or that two readers read differently, is not parsed."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from runtime_check.artifact.json_text import BadJson, read_json

SAFE = {"a": [1, -2.5, True, False, None, {"b": 'x,y:[{"\\ é'}], "c": [[]], "d": {}}


def test_it_reads_what_json_reads() -> None:
    assert read_json(json.dumps(SAFE).encode()) == SAFE
    assert read_json(json.dumps(SAFE, ensure_ascii=False, indent=2).encode()) == SAFE
    assert read_json(b"1e-400") == 0.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "does not parse"),
        (b"{", "does not parse"),
        (b'"abc', "does not parse"),
        (b'"abc\\', "does not parse"),
        (b"\xff\xfe[\0]\0", "does not parse"),
        ('{"a": 1}'.encode("utf-16"), "does not parse"),
        (b"[1] 2", "does not parse"),
        (b"9" * 5000, "does not parse"),
        (b"[NaN]", "the number NaN"),
        (b"[-Infinity]", "the number -Infinity"),
        (b"[1e999]", "the number 1e999"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "two fields called 'c'"),
        (b"[" * 33 + b"]" * 33, "levels deep"),
        (b'{"a":' * 33, "levels deep"),
        (b"[]," * 2**20, "more than 250000 values"),
        (b"0," * 2**20, "more than 250000 values"),
        (b"[" + b'"",' * 2**20 + b"0]", "more than 250000 texts"),
        (b'"' + b'\\"' * 2**20, "does not parse"),
    ],
    ids=range(18),
)
def test_bad_texts_are_refused(text: bytes, words: str) -> None:
    with pytest.raises(BadJson, match=words):
        read_json(text)


def test_marks_inside_texts_do_not_count() -> None:
    text = "[],{}:" * 200_000 + '\\"'
    assert read_json(json.dumps([text]).encode()) == [text]


def test_as_deep_as_allowed() -> None:
    value = read_json(b"[" * 32 + b"]" * 32)
    for _ in range(31):
        (value,) = value
    assert value == []


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"[]," * 20_000_000,
        b"]" * 60_000_000,
        b"9" * 60_000_000,
        b'{"a": "' + b'\\"' * 240_000 + b"x" * 60_000_000,
        b'"' + b"\\\\" * 30_000_000,
    ],
    ids=["lists", "ends", "digits", "open_text", "backslashes"],
)
def test_sixty_megabytes_cost_neither_time_nor_memory(text: bytes) -> None:
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(BadJson):
        read_json(text)
    took, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 5
    assert peak < 4 * len(text)
