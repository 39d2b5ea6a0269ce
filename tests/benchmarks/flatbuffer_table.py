"""The table of `tests.benchmarks.flatbuffer`: medians of the rounds, and what follows from them."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.memory import ANONYMOUS, PEAK, RESIDENT

# Loads are timed in the first, which runs natively; the phone's own instruction set is emulated.
RUNTIMES = ("x86-2.1.0", "arm64-2.1.0")


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One file, and the command that loads it in a fresh process."""

    case: str
    reader: str
    format: str
    path: Path
    command: tuple[str, ...]


def _growth(run: Mapping[str, Any], when: str, field: str) -> float:
    base = ANONYMOUS if field == ANONYMOUS else RESIDENT
    return float(run[when][field] - run["before"][base]) / 1e6


def _paired(own: Sequence[Mapping[str, Any]], base: Sequence[Mapping[str, Any]], key: str) -> float:
    return statistics.median(float(a[key] / b[key]) for a, b in zip(own, base, strict=True))


@dataclass(frozen=True, kw_only=True)
class Row:
    """Medians of one contestant; `load_ratio` is against the zip file in the same reader."""

    case: str
    reader: str
    format: str
    megabytes: float
    load_ms: float
    load_ratio: float
    first_ms: float
    resident: float
    anonymous: float
    peak: float
    peak_run: float


def summarize(found: Mapping[Contestant, Sequence[dict[str, Any]]]) -> list[Row]:
    """Reduce the rounds to rows; contestants that refused their file have none."""
    rows = []
    for contestant, runs in found.items():
        if any("error" in run for run in runs):
            continue
        base = next(
            (
                other
                for one, other in found.items()
                if (one.case, one.reader, one.format) == (contestant.case, contestant.reader, "zip")
            ),
            runs,
        )

        def median(when: str, field: str, runs: Sequence[dict[str, Any]] = runs) -> float:
            return statistics.median(_growth(run, when, field) for run in runs)

        rows.append(
            Row(
                case=contestant.case,
                reader=contestant.reader,
                format=contestant.format,
                megabytes=contestant.path.stat().st_size / 1e6,
                load_ms=1e3 * statistics.median(run["load"] for run in runs),
                load_ratio=_paired(runs, base, "load"),
                first_ms=1e3 * statistics.median(run["first"] for run in runs),
                resident=median("loaded", RESIDENT),
                anonymous=median("ran", ANONYMOUS),
                peak=median("loaded", PEAK),
                peak_run=median("ran", PEAK),
            )
        )
    return rows


def conclude(rows: Sequence[Row], verdicts: Sequence[tuple[str, str, str]]) -> str:
    """Say in one sentence which format the exporter writes, and why, from what was measured."""
    shares: dict[str, list[float]] = {"load": [], "peak": [], "anonymous": []}
    # What the phone's own version needs, where it was timed.
    phone = next((row.reader for row in rows if row.reader in RUNTIMES), "")
    reader = phone or (rows[0].reader if rows else "")
    rows = [row for row in rows if row.reader == reader]
    zipped = {row.case: row for row in rows if row.format == "zip"}
    for row in rows:
        if row.format == "flatbuffer" and row.case in zipped:
            base = zipped[row.case]
            shares["load"].append(row.load_ratio)
            shares["peak"].append(row.peak_run / base.peak_run)
            shares["anonymous"].append(row.anonymous / base.anonymous)
    if not shares["load"]:
        return "The exporter writes zip: no reader measured here takes flatbuffer."
    ranges = {name: f"{min(v):.2f} to {max(v):.2f}" for name, v in shares.items()}
    refused = [reader for reader, _, says in verdicts if says.startswith("no: ")]
    reach = (
        f"{' and '.join(dict.fromkeys(refused))} cannot read it"
        if refused
        else "what an app ships with is not tried here"
    )
    return (
        f"The exporter writes zip: on {reader} flatbuffer takes {ranges['load']} of its load time, "
        f"{ranges['anonymous']} of its memory that no file backs and {ranges['peak']} of its peak "
        f"with the first result, but {reach}, and its metadata and golden vectors would no "
        "longer be records of a zip, which `runtime_check` and the iOS app read without running "
        "the file."
    )


def render(
    rows: Sequence[Row], verdicts: Sequence[tuple[str, str, str]], *, rounds: int, torch: str
) -> str:
    """Lay the results out as Markdown."""
    out = [
        "# Zip against flatbuffer",
        "",
        f"One thread; medians of {rounds} rounds, interleaved, a fresh process for each load, the "
        f"file in the page cache; torch {torch}, load average {os.getloadavg()[1]:.1f}; "
        "`python -m tests.benchmarks.flatbuffer`. Memory is growth since before the load. "
        "Flatbuffer files are mapped, not read: their pages are resident, and the system may drop "
        "them; `no file behind it` is what it has to keep. The 2.1.0 runtimes drop float weights "
        "once XNNPACK has packed them, as phone builds do; Python cannot, and keeps both.",
        "",
        "| model | loaded by | format | MB | load ms | / zip, paired | first result ms "
        "| resident MB, loaded | peak MB, loading | peak MB, with first result "
        "| no file behind it MB, after it |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        ratio = f"{row.load_ratio:.2f}" if row.format == "flatbuffer" else ""
        out.append(
            f"| {row.case} | {row.reader} | {row.format} | {row.megabytes:.1f} | "
            f"{row.load_ms:.1f} | {ratio} | {row.first_ms:.1f} | {row.resident:.1f} | "
            f"{row.peak:.1f} | {row.peak_run:.1f} | {row.anonymous:.1f} |"
        )
    out += ["", "| runtime | file | reads flatbuffer |", "|---|---|---|"]
    out += [f"| {' | '.join(verdict)} |" for verdict in verdicts]
    return "\n".join([*out, "", conclude(rows, verdicts)]) + "\n"
