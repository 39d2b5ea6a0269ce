"""What the command line prints: the ledger, progress, the top five, what to do next."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from runtime_check.people import SafeConsole
from runtime_check.printable import printable

from ..progress import Listener

if TYPE_CHECKING:
    from runtime_check.artifact.metadata import LedgerRow

    from ..artifact import Artifact

stdout = SafeConsole(highlight=False)
stderr = SafeConsole(stderr=True, highlight=False)
APPS = ("android_demo", "ios_demo")


def print_table(table: Table) -> None:
    """Print a table. Columns without wrapping, and the words of the others, are never cut.

    Where the terminal is too narrow for that, lines are longer than it: a name that is broken in
    two can be neither copied nor searched for.
    """
    roomy = stdout.options.update(max_width=100_000)
    for column in table.columns:
        if column.no_wrap:
            widths = (Measurement.get(stdout, roomy, cell).maximum for cell in column.cells)
            column.min_width = max(widths, default=0)
    needed = Measurement.get(stdout, roomy, table).minimum
    console = stdout if needed <= stdout.width else SafeConsole(highlight=False, width=needed)
    console.print(table)


def facts_table(facts: Iterable[tuple[str, str]]) -> Table:
    """Lay out names, and a text beside each."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, text in facts:
        table.add_row(Text(printable(name)), Text(printable(text)))
    return table


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _share(field: str, row: LedgerRow) -> str:
    return _cell(getattr(row, field), ".6f" if field == "cosine" else ".1%")


def ledger_table(rows: Sequence[LedgerRow], title: str) -> Table:
    """Lay out the ledger; what was not measured stays blank; accuracy then has no column."""
    from runtime_check.metrics import HEADINGS

    columns: dict[str, Callable[[LedgerRow], str]] = {
        "max |d|": lambda row: "0" if row.max_abs == 0 else _cell(row.max_abs, ".1e"),
        "SQNR dB": lambda row: _cell(row.sqnr_db, ".1f"),
        **{name: partial(_share, field) for field, name in HEADINGS.items()},
        "accuracy": lambda row: _cell(row.accuracy, ".2%"),
        "ms": lambda row: _cell(row.ms, ".1f"),
        "MB": lambda row: _cell(row.mb, ".1f"),
    }
    # The metrics of other tasks have no column, nor has accuracy where no image has a label.
    for field, name in {**HEADINGS, "accuracy": "accuracy"}.items():
        if all(getattr(row, field) is None for row in rows):
            del columns[name]
    heading = Text(printable(title), "bold")
    table = Table(title=heading, title_justify="left", title_style="", box=None, pad_edge=False)
    table.add_column("stage", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(Text(printable(row.stage)), *(cell(row) for cell in columns.values()))
    return table


@contextmanager
def progress(enabled: bool) -> Iterator[tuple[Callable[[str], None], Listener]]:
    """Show which step is running, and how far a long one is; yield the listeners of `export`."""
    first = os.environ.get("RANK", "0") == "0"  # of processes that `torchrun` started
    if not (enabled and first and stderr.is_terminal):
        yield (lambda step: None), (lambda what, done, total: None)
        return
    from rich.console import Group
    from rich.live import Live
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    steps = Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    long = Progress(TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
    bars: dict[str, Any] = {}

    def step(name: str) -> None:
        for bar in bars.values():
            long.remove_task(bar)
        bars.clear()
        for task in steps.tasks:
            steps.update(task.id, total=1, completed=1)
        steps.add_task(name, total=None)

    def tell(what: str, done: int, total: int) -> None:
        if what not in bars:  # one bar at a time
            for bar in bars.values():
                long.remove_task(bar)
            bars.clear()
            bars[what] = long.add_task(what, total=total or None)
        long.update(bars[what], completed=done)

    with Live(Group(steps, long), console=stderr, transient=True):
        yield step, tell


def show_export(artifact: Artifact) -> None:
    """Print the ledger, what was decided, and where the files are."""
    from ..report.report import beside

    report, meta = artifact.report, artifact.metadata
    assert report is not None, "an export has its report"
    title = f"{meta.name}, {report.ledger[0].inputs} inputs, one thread"
    print_table(ledger_table(report.ledger, title))
    stdout.print()
    stdout.print(Text(f"captured by {meta.capture.method}: {meta.capture.reason}", style="dim"))
    for note in report.notes:
        stdout.print(Text(str(note), style="yellow" if note.is_warning else "dim"))
    for verdict in meta.runtimes:
        good = "ran on " if verdict.how == "executed" else "loads on "
        word = Text(good, "green") if verdict.compatible else Text("does not load on ", "red")
        stdout.print(word.append(f"{verdict.runtime}: {verdict.detail}", "default"))
    allowed, flips = f"{meta.tolerance.atol:.2g}", meta.tolerance.flips
    if flips:
        allowed += f", another class on {flips:.2%} of the pixels"
    stdout.print(Text("tolerance ", "dim").append(f"{allowed}: {meta.tolerance.basis}"))
    stdout.print()
    size = f" ({report.file_bytes / 1e6:.1f} MB)"
    stdout.print(Text(str(artifact.path), "bold").append(size, "default"), soft_wrap=True)
    stdout.print(Text(str(beside(artifact.path, ".report.html"))), soft_wrap=True)
    for path in artifact.installed:
        stdout.print(Text(f"installed: {path}"), soft_wrap=True)


def show_files(artifacts: Sequence[Artifact]) -> None:
    """Print the rows of several files of one model under each other."""
    ledgers = {
        artifact.path.name: artifact.report.ledger
        for artifact in artifacts
        if artifact.report is not None
    }
    show_rows(ledgers, f"{artifacts[0].metadata.name}, the files side by side")


_SAVED = "saved + reloaded"


def show_rows(ledgers: Mapping[str, Sequence[LedgerRow]], title: str) -> None:
    """Print of each file's ledger the rows that are the file itself, wherever it ran."""
    rows = [
        # Whole names leave no room for the figures, and differ in their ending alone.
        row.model_copy(update={"stage": f"{Path(name).suffix} {row.stage.removeprefix(_SAVED)}"})
        for name, ledger in ledgers.items()
        for row in ledger
        if row.stage.startswith((_SAVED, "on "))
    ]
    stdout.print()
    print_table(ledger_table(rows, title))
    stdout.print()


def as_json(artifact: Artifact) -> dict[str, Any]:
    """Return what `--json` prints about an export."""
    return {
        "path": str(artifact.path),
        "installed": [str(path) for path in artifact.installed],
        "report": None if artifact.report is None else artifact.report.model_dump(mode="json"),
    }


def show_next(path: Path, installed: Sequence[Path], again: str, sign: Path | None = None) -> None:
    """Print the commands to go on with; a file signed with `sign` is checked with its key."""
    verify = ""
    if sign is not None:
        from ..package.keys import read_secret_key

        verify = f" --verify-key {read_secret_key(sign).public.line}"
    stdout.print("\n[bold]next[/]")
    file = shlex.quote(str(path))
    commands = [f"python -m exporter inspect {file}", f"python -m runtime_check {file}{verify}"]
    if not installed:
        install = " ".join(f"--install {app}" for app in APPS)
        commands.append(f"python -m exporter {again}{install}")
    for command in commands:  # names are text, never markup
        stdout.print(Text(f"  {command}"), soft_wrap=True)


def show_top(top: Sequence[tuple[str, float]], photo: str) -> None:
    """Print the labels of a photo with their probabilities."""
    stdout.print(f"\n[bold]the saved file on a photo of a {photo}[/]")
    for label, probability in top:
        bar = "█" * round(30 * probability)
        stdout.print(Text(f"  {probability:6.1%} {bar:30s} {printable(label)}"))


def print_json(value: Any) -> None:
    """Print one JSON value, nothing else."""
    import json

    sys.stdout.write(json.dumps(value, indent=1) + "\n")
