"""What is printed fits a terminal of 80 columns, and no name is broken in two."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.table import Column, Table

from exporter.cli.show import (
    facts_table,
    ledger_table,
    print_table,
    show_export,
    show_next,
    show_rows,
)
from runtime_check.artifact.metadata import LedgerRow, ToleranceSpec

ROWS = [
    LedgerRow(stage="eager fp32", inputs=5, ms=1234.5, mb=1234.5),
    LedgerRow(
        stage="saved + reloaded",
        inputs=5,
        max_abs=1.2e-6,
        sqnr_db=111.2,
        top1=1.0,
        top5=1.0,
        accuracy=0.8125,
        ms=1234.5,
        mb=1234.5,
    ),
]


def test_the_ledger_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(ledger_table(ROWS, "name"))
    title, head, *rows = capsys.readouterr().out.splitlines()
    assert title.strip() == "name"
    assert [row.split("  ")[0].strip() for row in rows] == [row.stage for row in ROWS]
    assert head.split()[-5:] == ["top-1", "top-5", "accuracy", "ms", "MB"]
    assert all(len(line) <= 80 for line in (head, *rows))


def test_two_files_fit_whatever_their_name(capsys: pytest.CaptureFixture[str]) -> None:
    name = "tf_efficientnet_lite0_of_a_long_name"
    show_rows({f"{name}.ptl": ROWS, f"{name}.pte": ROWS}, "both")
    _, _, head, *rows = capsys.readouterr().out.rstrip().splitlines()
    assert head.split()[-1] == "MB"
    assert [row.split("  ")[0].strip() for row in rows] == [
        ".ptl",
        ".pte",
    ]
    assert all(row.endswith("1234.5") for row in rows)


def test_accuracy_has_a_column_where_it_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(ledger_table(ROWS[:1], "name"))
    assert "accuracy" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("figures", "head", "cells"),
    [
        ({"pixels": 0.9876, "miou": 0.5}, ["pixels", "mIoU"], ["98.8%", "50.0%"]),
        ({"cosine": 0.98765432}, ["cosine"], ["0.987654"]),
        ({"boxes": 0.25}, ["boxes"], ["25.0%"]),
        ({}, [], []),
    ],
)
def test_the_metric_is_the_tasks_and_no_other(
    capsys: pytest.CaptureFixture[str],
    figures: dict[str, float],
    head: list[str],
    cells: list[str],
) -> None:
    row = LedgerRow(stage="saved", max_abs=1e-6, sqnr_db=100.0, ms=1.0, mb=2.0).model_copy(
        update=figures
    )
    print_table(ledger_table([row], "name"))
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["stage", "max", "|d|", "SQNR", "dB", *head, "ms", "MB"]
    assert second.split() == ["saved", "1.0e-06", "100.0", *cells, "1.0", "2.0"]


@pytest.mark.parametrize(
    ("flips", "line"),
    [(0.0, "tolerance 0.0012: basis"), (0.002, "tolerance 0.0012, another class on 0.20%")],
)
def test_what_is_allowed_is_printed(
    capsys: pytest.CaptureFixture[str], flips: float, line: str
) -> None:
    artifact: Any = SimpleNamespace(
        path=Path("net.ptl"),
        installed=(),
        report=SimpleNamespace(ledger=ROWS, notes=[], file_bytes=1234),
        metadata=SimpleNamespace(
            name="net",
            capture=SimpleNamespace(method="trace", reason="forced"),
            runtimes=[],
            tolerance=ToleranceSpec(atol=0.0012, rtol=0, flips=flips, basis="basis"),
        ),
    )
    show_export(artifact)
    assert line in capsys.readouterr().out


def test_names_and_words_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    name, word = "n" * 60, "blocks.0." + "w" * 50
    print_table(facts_table([(name, f"{'some text ' * 20} {word}")]))
    out = capsys.readouterr().out
    assert name in out
    assert word in out
    table = Table(Column("file", no_wrap=True), Column("text"), Column("size", no_wrap=True))
    table.add_row(name, "some text " * 20, "12 MB")
    print_table(table)
    out = capsys.readouterr().out
    assert name in out
    assert "12 MB" in out


def test_text_from_a_file_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(facts_table([("takes", "float32[1, 3] [bold]x[/bold]")]))
    assert "[bold]x[/bold]" in capsys.readouterr().out


def test_the_next_commands_can_be_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_next(tmp_path / ("long_" * 20 + ".ptl"), (), "")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith("-m exporter --install android_demo --install ios_demo")
    assert sum(line.endswith(".ptl") for line in lines) == 2


def test_what_comes_next_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets are not markup, and spaces are quoted."""
    show_next(Path("out [red]/my model.ptl"), [], "export m ... ")
    printed = capsys.readouterr().out
    assert "python -m exporter inspect 'out [red]/my model.ptl'" in printed
