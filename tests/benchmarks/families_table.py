"""The tables of `tests.benchmarks.families`, from its results."""

from __future__ import annotations

from collections import Counter
from typing import Any

# A random network carries little signal; 10 dB is where a broken layer shows and rounding doesn't.
LEAST_DB = 10.0
# In the count of a program's calls: what XNNPACK computes.
_DELEGATE = "delegate::XnnpackBackend"


def cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Render the results as Markdown."""
    good = [row for row in rows.values() if row.get("ok")]
    fits = sum(1 for row in good if row["runtimes"]["pytorch-2.1.0"])
    ran = [row["device"] for row in good if row.get("device")]
    captured = Counter(row["capture"] for row in good)
    small = [row["int8"] for row in rows.values() if "int8" in row]
    right = sum(1 for row in small if row["ok"])
    out = [
        "# timm's families through the exporter",
        "",
        f"**fp32: {len(good)} of {len(rows)}** exported and verified: random "
        "weights, BatchNorm statistics randomized; the saved file agrees with eager on five images "
        f"in a fresh process. Captured: {', '.join(f'{n} by {how}' for how, n in captured.items())}"
        f". By its operator table {fits} load on torch 2.1.0"
        + (f"; {sum(d['loads'] for d in ran)} of {len(ran)} ran on its ARM64 build" if ran else "")
        + ". `dB` is the signal over the difference, the saved file against eager.",
        "",
    ]
    if small:
        out += [
            f"**static int8: {right} of {len(small)}** exported, ran on torch 2.1.0 and are right: "
            f"bare network, calibrated on 12 crops of photos, SQNR of the saved file's outputs "
            f"against fp32 at least {LEAST_DB:g} dB. `2.1.0 dB` is the file on torch 2.1.0 against "
            "its own golden outputs.",
            "",
        ]
    out += [
        "Regenerate with `python -m exporter compare tests/benchmarks/families.toml` and "
        "`python -m tests.benchmarks.families DIR`.",
        "",
        "| module | model | captured | repaired | dB | loads on 2.1.0 | s | MB "
        "| int8 mode | int8 layers | in float | int8 dB | 2.1.0 dB | int8 s | int8 MB |",
        "|---" * 4 + "|---:|---|---:|---:|---|" + "---:|" * 6,
    ]
    for module, row in sorted(rows.items()):
        cells = [module, row["model"], *_float_cells(row), *_int8_cells(row.get("int8"))]
        out.append("| " + " | ".join(cells) + " |")
    for title, failed in (
        ("fp32: not exported", {m: r for m, r in rows.items() if not r.get("ok")}),
        ("int8: not right", {m: r["int8"] for m, r in rows.items() if not _fine(r.get("int8"))}),
    ):
        if failed:
            out += ["", f"## {title}", ""] + [f"- **{m}**: {why(r)}" for m, r in failed.items()]
    return "\n".join(out) + "\n"


def _fine(row: dict[str, Any] | None) -> bool:
    return row is None or bool(row["ok"])


def why(row: dict[str, Any]) -> str:
    if "error" in row:
        return str(row["error"])
    if not row.get("device", {}).get("loads", True):
        return f"torch 2.1.0: {row['device']['error']}"
    return f"SQNR {cell(row.get('sqnr_db'), '.1f')} dB"


def _float_cells(row: dict[str, Any]) -> list[str]:
    if not row.get("ok"):
        return ["**failed**"] + [""] * 5
    fixes = "; ".join(t.split("(")[0].removeprefix("repaired: ") for t in row["repaired"])
    return [
        row["capture"],
        fixes,
        cell(row["sqnr_db"], ".0f"),
        "yes" if row["runtimes"]["pytorch-2.1.0"] else "**no**",
        cell(row["seconds"], ".0f"),
        cell(row["mb"], ".1f"),
    ]


def _int8_cells(row: dict[str, Any] | None) -> list[str]:
    if row is None or "mode" not in row:
        return ["" if row is None else "**failed**"] + [""] * 6
    return [
        row["mode"],
        str(row["int8_layers"]),
        str(row["float_layers"]),
        cell(row["sqnr_db"], ".1f"),
        cell(row["device"].get("sqnr_db"), ".0f") if row["device"]["loads"] else "**fails**",
        cell(row["seconds"], ".0f"),
        cell(row["mb"], ".1f"),
    ]


def program_table(rows: dict[str, dict[str, Any]]) -> str:
    """Render the results of programs as Markdown."""
    good = sum(row["ok"] for row in rows.values())
    out = [
        "# timm's families as ExecuTorch programs",
        "",
        f"**fp32: {good} of {len(rows)}** exported and verified: bare network, random weights, "
        "BatchNorm statistics randomized; the saved file, run by ExecuTorch's own runtime in a "
        "fresh process, agrees with eager on five pictures. `max |d|` is of what the network "
        "gives, whatever its size; `dB` is the signal over that difference. `XNNPACK` is the "
        "number of pieces that it computes; the rest are calls of ExecuTorch's "
        "portable operators.",
        "",
        "Regenerate with `python -m exporter compare tests/benchmarks/families.toml` and "
        "`python -m tests.benchmarks.families DIR`.",
        "",
        "| module | model | max \\|d\\| | dB | XNNPACK | other calls | s | MB |",
        "|---|---|" + "---:|" * 6,
    ]
    for module, row in sorted(rows.items()):
        out.append("| " + " | ".join([module, row["model"], *_program_cells(row)]) + " |")
    failed = {module: row for module, row in sorted(rows.items()) if not row["ok"]}
    if failed:
        out += ["", "## not exported", ""] + [f"- **{m}**: {why(r)}" for m, r in failed.items()]
    return "\n".join(out) + "\n"


def _program_cells(row: dict[str, Any]) -> list[str]:
    if not row["ok"]:
        return ["**failed**"] + [""] * 5
    pieces = row["operators"].get(_DELEGATE, 0)
    return [
        cell(row["max_abs"], ".1e"),
        cell(row["sqnr_db"], ".0f"),
        str(pieces),
        str(sum(row["operators"].values()) - pieces),
        cell(row["seconds"], ".0f"),
        cell(row["mb"], ".1f"),
    ]
