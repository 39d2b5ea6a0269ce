"""The table of `tests.benchmarks.speed`: the goals, and what was measured against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MODELS = (
    "deit_tiny_patch16_224",
    "deit_base_patch16_224",
    "vit_small_patch16_224",
    "tf_efficientnet_lite0",
)
PROFILED = 10  # inferences under the profiler
# Operators that multiply matrices.
_MATRIX_OPERATORS = (
    "aten::bmm",
    "aten::addmm",
    "aten::mm",
    "prepacked::conv2d_clamp_run",
    "prepacked::linear_clamp_run",
    "quantized::conv2d",
    "quantized::linear",
)


def _verdict(value: float, goal: float) -> str:
    """Say whether a ratio is at least `goal`, with a third decimal where two would hide a miss."""
    digits = 2 if (round(value, 2) >= goal) == (value >= goal) else 3
    return f"{value:.{digits}f}, {'reached' if value >= goal else 'missed'}"


def _least(value: float | None, goal: float, exact: float | None) -> str:
    if value is None:
        return "not measured"
    return _verdict(value, goal) + (f"; exact {_verdict(exact, goal)}" if exact is not None else "")


def _most(value: float, goal: float, name: str) -> tuple[str, str]:
    """Return goal and verdict; shares have goals for the first model only."""
    if name != MODELS[0]:
        return "", f"{value:.3f}"
    return f"at most {goal:.2f}", f"{value:.3f}, {'reached' if value <= goal else 'missed'}"


def _over_products(kinds: Mapping[str, Sequence[dict[str, Any]]], kind: str) -> float:
    """Divide the time of one file by that of its matrix products (convolutions among them).

    Fused attention hides its products: those of the int8 file, of the same sizes, stand for them.
    """
    found = {row["operator"]: row["ms"] for row in kinds[kind]}
    products = sum(ms for name, ms in found.items() if name in _MATRIX_OPERATORS)
    if "aten::bmm" not in found:
        products += sum(row["ms"] for row in kinds["int8"] if row["operator"] == "aten::bmm")
    return float(sum(found.values()) / products)


def _products_alone(result: dict[str, Any], key: str) -> str:
    """Say how many times faster the file would be if all but its products cost nothing."""
    kind, other = key.split(" / ")
    kind = "exact" if kind == "int8" and "exact" in result["operators"] else kind
    ratio = result["times_faster"].get("1", {}).get(f"{kind} / {other}")
    return "" if ratio is None else f"{ratio * _over_products(result['operators'], kind):.2f}"


def _goals(result: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Return rows of the goals' table: work, goal, one thread, two, products alone."""
    name, rows = result["model"], []
    one, two = (result["times_faster"].get(n, {}) for n in ("1", "2"))
    wanted: list[tuple[str, str, float]] = [
        ("fp32 / eager", "fp32 against eager", 1.0),
        ("fp32 / onnxruntime", "fp32 against ONNX Runtime fp32", 1.0),
        ("fp32 / executorch", "fp32 against ExecuTorch fp32", 1.0),
    ]
    if name == MODELS[0]:
        wanted += [
            ("int8 / eager", "int8 against eager fp32", 3.5),
            ("int8 / fp32", "int8 against our fp32", 2.3),
            ("int8 / onnxruntime int8", "int8 against ONNX Runtime's best int8", 1.3),
            ("int8 / executorch int8", "int8 against ExecuTorch's best int8", 2.0),
        ]
    else:
        wanted += [
            ("int8 / onnxruntime int8", "int8 against ONNX Runtime's best int8", 1.0),
            ("int8 / executorch int8", "int8 against ExecuTorch's best int8", 1.0),
        ]
    for key, text, goal in wanted:
        exact = key.replace("int8 /", "exact /", 1)
        cells = [
            _least(of.get(key), goal, of.get(exact) if exact != key else None) for of in (one, two)
        ]
        rows.append(
            (
                f"{name}: {text}",
                f"at least {goal:g}x",
                cells[0],
                cells[1],
                _products_alone(result, key),
            )
        )
    for kind in result["operators"]:
        if kind != "fp32":
            share = _over_products(result["operators"], kind)
            verdict = f"{share:.2f}, {'reached' if share <= 1.8 else 'missed'}"
            rows.append(
                (f"{name}: {kind}, time here / its matrix products", "at most 1.8", verdict, "", "")
            )
    counted = result["arm64"]
    if counted:
        fp32, int8 = (counted[kind]["instructions"] for kind in ("fp32", "int8"))
        share = int8 / fp32
        over = int8 / counted["int8"]["matrix_products"]
        limits = [(f"ARM64 instructions, int8 / fp32 ({int8 / 1e6:.1f} M)", share, 0.40)]
        if name == MODELS[0]:
            limits += [
                (f"ARM64 instructions, fp32 ({fp32 / 1e6:.1f} M) / 634 M", fp32 / 634e6, 0.93),
                ("ARM64 instructions, int8 / its matrix products", over, 1.8),
            ]
        for text, value, goal in limits:
            rows.append((f"{name}: {text}", *_most(value, goal, name), "", ""))
    return rows


def _section(result: dict[str, Any]) -> list[str]:
    """Return the lines on one model: milliseconds, instructions by function, time by operator."""
    device = result["device"]
    out = ["", f"## {result['model']}", ""]
    out += [
        f"{result['rounds']} rounds on {device['model']}, {device['cores']} cores; load "
        f"average {result['load_average']}, code of {result['commit']}.",
        "",
    ]
    out += ["| | threads | median ms | p95 ms | load ms | peak MB | MB |"]
    out += ["|---|---:|---:|---:|---:|---:|---:|"]
    for run in result["milliseconds"]:
        cells = [run["label"], str(run["threads"])]
        for key in ("median_ms", "p95_ms", "load_ms", "peak_mb", "size_mb"):
            cells.append("" if run[key] is None else f"{run[key]:.1f}")
        out.append(f"| {' | '.join(cells)} |")
    out += [f"\nskipped {label}: {why}" for label, why in result["skipped"].items()]
    for kind, counted in result["arm64"].items():
        out += [
            "",
            f"{kind}, ARM64, torch 2.1.0: {counted['instructions'] / 1e6:.1f} M instructions, "
            f"{counted['matrix_products'] / 1e6:.1f} M of them in matrix products.",
            "",
            "| function | M instructions | share |",
            "|---|---:|---:|",
        ]
        out += [
            f"| `{row['symbol']}` | {row['instructions'] / 1e6:.1f} | {row['share']:.1%} |"
            for row in counted["dearest"]
        ]
    for kind, found in result["operators"].items():
        total = sum(row["ms"] for row in found)
        out += ["", f"{kind}, here, one thread, under the profiler: {total:.1f} ms.", ""]
        out += ["| operator | ms | calls |", "|---|---:|---:|"]
        out += [
            f"| `{row['operator']}` | {row['ms']:.2f} | {row['calls'] // PROFILED} |"
            for row in found[:10]
        ]
    return out


def render(results: Sequence[dict[str, Any]]) -> str:
    """Lay the results out as Markdown: goals, milliseconds, and where instructions go."""
    out = [
        "# Speed against peers, and on the phone's runtime",
        "",
        "Medians of interleaved rounds; `python -m tests.benchmarks.speed`. Ratios are paired: "
        "above 1 is faster. `products alone` is what one thread would reach if the file's matrix "
        "products and convolutions took as long as they do and all else nothing: no rewriting of "
        "the graph reaches a goal beyond it, only faster kernels would. A load average well above "
        "1 when the times were taken means that other work disturbed the times, most of all those "
        "on two threads. There our files run under OMP_THREAD_LIMIT=1: torch on a computer has two "
        "thread pools, which get into each other's way (a phone's has one). glibc's malloc keeps "
        "its memory, for all alike. Each model is from a run of its own; a thread count not "
        "measured has no rows. Instructions are exact. `exact` is int8 with exact GELU and softmax "
        "(`--disable cheap-activations`).",
        "",
        "| work | goal | one thread | two threads | products alone |",
        "|---|---|---:|---:|---:|",
    ]
    out += [f"| {' | '.join(row)} |" for result in results for row in _goals(result)]
    for result in results:
        out += _section(result)
    return "\n".join(out) + "\n"
