from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from runtime_check.artifact.archive import read_artifact
from runtime_check.checking import Report
from runtime_check.comparison import Tolerance, compare
from runtime_check.properties.base import PropertyResult
from runtime_check.report import write_html


def a_report(path: Path) -> Report:
    one = np.array([1.0, 2.0], np.float32)
    same = compare([one], [one], Tolerance(atol=1e-3))
    different = compare([one], [one + 0.5], Tolerance(atol=1e-3))
    return Report(
        artifact=read_artifact(path),
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


def test_the_page_is_whole_and_escaped(tensor_ptl: Any, tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    report = a_report(tensor_ptl.path)
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


def test_the_page_of_a_report_without_failures_says_so(tensor_ptl: Any, tmp_path: Path) -> None:
    report = a_report(tensor_ptl.path)
    good = tuple(r for r in report.results if r.status != "failed")
    write_html(replace(report, results=good), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<p class="verdict replayed">REPLAYED, NOT PROVEN on host' in page
