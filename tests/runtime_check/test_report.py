from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_check.artifact.archive import ArtifactFile
from runtime_check.artifact.bytecode import Bytecode
from runtime_check.artifact.metadata import Golden, Metadata
from runtime_check.checking import Report
from runtime_check.comparison import Comparison, Tolerance, compare
from runtime_check.properties.base import PropertyResult
from runtime_check.report import ledger_row, to_dict, write_html

LOGITS = {"name": "logits", "shape": [2], "axes": ["classes"], "holds": "scores"}
MAP = {"name": "map", "shape": [3, 4, 4], "axes": ["C", "H", "W"], "holds": "scores"}
VECTOR = {"name": "vector", "shape": [2], "axes": ["features"], "holds": "embedding"}
BOXES = {"name": "boxes", "shape": [1, 4], "axes": ["boxes", "4"], "holds": "boxes"}
PLAIN = {"name": "y", "shape": [2], "axes": ["features"]}


def an_artifact(task: str | None, tensor: dict[str, Any]) -> ArtifactFile:
    """A file by hand: only its metadata is read here."""
    tolerance = {"atol": 1e-3, "rtol": 0, "basis": "by hand"}
    metadata = Metadata.model_validate(
        {
            "name": "net",
            "task": task,
            "input": {
                "kind": "tensor",
                "tensors": [{"name": "x", "shape": [1, 3]}],
                "dynamic_batch": False,
            },
            "preprocessing": None,
            "output": {"returned": "tensor", "tensors": [tensor], "labels": None},
            "quantization": {},
            "capture": {"method": "script", "reason": "by hand"},
            "passes": [],
            "produced_by": {"exporter": "0", "torch": "0", "timm": None, "bytecode_version": 8},
            "operators": {},
            "runtimes": [],
            "provenance": {
                "source": "module",
                "model": "net",
                "weights": {"origin": "module", "detail": "given", "sha256": "0" * 64},
            },
            "tolerance": tolerance,
            "ledger": [],
        }
    )
    case = {"name": "a", "inputs": [], "expected": []}
    return ArtifactFile(
        path=Path("net.ptl"),
        bytes=1234,
        records=(),
        metadata=metadata,
        golden=Golden.model_validate({"tolerance": tolerance, "cases": [case]}),
        bytecode=Bytecode(version=8, calls={}, operators=()),
    )


def a_report(task: str | None = "image-classification", tensor: dict[str, Any] = LOGITS) -> Report:
    one = np.array([1.0, 2.0], np.float32)
    same = compare([one], [one], Tolerance(atol=1e-3))
    different = compare([one], [one + 0.5], Tolerance(atol=1e-3))
    return Report(
        artifact=an_artifact(task, tensor),
        sha256="ab" * 32,
        runtime="host",
        runtime_detail="torch on this machine",
        reference="none <here>",
        has_reference=False,
        tolerance="stated by the file",
        seed=0,
        examples=3,
        seconds=1.25,
        results=(
            PropertyResult(name="golden", status="passed", reason="2 cases", comparison=same),
            PropertyResult(
                name="batch",
                status="failed",
                fault="differs",
                reason="<b>off</b>",
                comparison=different,
                minimal="one & two",
                examples=3,
            ),
            PropertyResult(name="parity", status="skipped", reason="none <here>"),
        ),
        instructions=12_345_678,
        instructions_note="second run",
    )


def test_the_page_is_whole_and_escaped(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    report = a_report()
    write_html(report, path)
    page = path.read_text(encoding="utf-8")
    assert '<p class="verdict failed">FAILED on host: batch' in page
    for text in (
        "&lt;b&gt;off&lt;/b&gt;",
        "smallest failing input: <code>one &amp; two</code>",
        "<dt>compared with</dt><dd>none &lt;here&gt;</dd>",
        "<dt>instructions</dt><dd>12,345,678 (second run)</dd>",
    ):
        assert text in page
    rows = re.findall(r"<tr><td>(\w+)<td class=\"s (\w+)\">(.*?)</tr>", page, flags=re.S)
    assert [row[:2] for row in rows] == [
        ("golden", "passed"),
        ("batch", "failed"),
        ("parity", "skipped"),
    ]
    assert '<td class="n">0.5\n' in rows[1][2]
    assert [row[2].count("<td") for row in rows] == [5, 5, 5]
    assert not re.search(r"(src|href)=|<script", page)


def test_the_page_of_a_report_without_failures_says_so(tmp_path: Path) -> None:
    report = a_report()
    good = tuple(r for r in report.results if r.status != "failed")
    write_html(replace(report, results=good), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<p class="verdict replayed">REPLAYED, NOT PROVEN on host' in page


def figures(**known: float) -> Comparison:
    """A comparison with the figures of a metric, whatever it is."""
    one = np.array([1.0, 2.0], np.float32)
    bare = {"top1": None, "top5": None}
    return replace(compare([one], [one], Tolerance()), **{**bare, **known})


@pytest.mark.parametrize(
    ("task", "tensor", "known", "headings", "cells"),
    [
        ("image-classification", LOGITS, {"top1": 0.5, "top5": 0.75}, ["top-1"], ["50.0%"]),
        (
            "image-segmentation",
            MAP,
            {"pixels": 0.875, "miou": 0.25},
            ["pixels", "mIoU"],
            ["87.5%", "25.0%"],
        ),
        ("image-feature-extraction", VECTOR, {"cosine": 0.98765432}, ["cosine"], ["0.987654"]),
        ("object-detection", BOXES, {"boxes": 0.625}, ["boxes"], ["62.5%"]),
        (None, PLAIN, {}, [], []),
    ],
)
def test_a_task_has_the_columns_of_its_metric_and_no_others(
    tmp_path: Path,
    task: str | None,
    tensor: dict[str, Any],
    known: dict[str, float],
    headings: list[str],
    cells: list[str],
) -> None:
    results = (
        PropertyResult(
            name="parity", status="passed", reason="", comparison=figures(**known), examples=7
        ),
        PropertyResult(name="batch", status="skipped", reason="none"),
    )
    report = replace(a_report(task, tensor), results=results)
    write_html(report, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    names = re.findall(r"<th(?: class=\"n\")?>([^<]+)", page)
    assert [name.strip() for name in names] == [
        "property", "verdict", "inputs", "max |d|", "SQNR, dB", *headings, "what was found",
    ]  # fmt: skip
    rows = re.findall(r"<tr><td>(.*?)</tr>", page, flags=re.S)
    assert [1 + row.count("<td") for row in rows] == [len(names)] * 2
    found = [cell.strip() for cell in re.findall(r"<td class=\"n\">([^<]*)", rows[0])]
    assert found == ["7", "0", "identical", *cells]
    assert f"<dt>task</dt><dd>{task or 'unknown'}</dd>" in page

    data = to_dict(report)
    assert data["task"] == task
    names_of_all = {"top1", "top5", "pixels", "miou", "cosine", "boxes"}
    comparison = data["properties"][0]["comparison"]
    assert {n: comparison[n] for n in names_of_all if comparison[n] is not None} == known
    row = ledger_row(report)
    assert row is not None
    assert {n: getattr(row, n) for n in names_of_all if getattr(row, n) is not None} == known
