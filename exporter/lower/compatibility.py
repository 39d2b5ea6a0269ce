"""Compatibility: what a named device runtime makes of the file, decided offline.

The runtime's operator table (generated from its real build, `runtime_check/data/operators`)
answers for every operator the bytecode calls: is it there, and does it take that many arguments.
A missing operator refuses the whole file at load; an argument too many loads and fails when run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from runtime_check.artifact.bytecode import Bytecode, Operator
from runtime_check.device.operators import OperatorTable, load_table
from runtime_check.runtimes.lite import backport as backport_lite

from ..errors import IncompatibleRuntime


@dataclass(frozen=True, kw_only=True)
class Missing:
    """One thing the runtime cannot do."""

    operator: str
    reason: str
    source: str  # the Python line that called it, or "" where the graph does not say
    similar: tuple[str, ...]

    def __str__(self) -> str:
        where = f", called from {self.source}" if self.source else ""
        return f"{self.operator} ({self.reason}{where})"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether `runtime` can run the file as it is, or after a backport of its bytecode."""

    runtime: str
    missing: tuple[Missing, ...]
    backport_to: int | None  # bytecode version to write instead, None where it fits as it is

    def __bool__(self) -> bool:
        return not self.missing


def _sources(module: torch.jit.ScriptModule | None) -> dict[str, str]:
    """Map operator kinds to the Python line of their first call, from the captured graph."""
    if module is None:
        return {}
    graph = module.inlined_graph
    found: dict[str, str] = {}

    def visit(block: torch._C.Block | torch._C.Graph) -> None:
        for node in block.nodes():
            if node.kind() not in found:
                found[node.kind()] = _line(str(node.sourceRange()))
            for inner in node.blocks():
                visit(inner)

    visit(graph)
    return found


def _line(source_range: str) -> str:
    """Turn torch's multi-line source range into `file:line: code`."""
    lines = source_range.splitlines()
    place = next((line.strip() for line in lines if 'File "' in line or ".py" in line), "")
    if place.startswith('File "'):
        path, _, rest = place[6:].partition('", line ')
        place = f"{path}:{rest.split(',')[0]}"
    elif "): " in place:  # a trace: "/path/file.py(12): forward"
        place = place.split("): ")[0].replace("(", ":")
    # torch numbers its traced graphs by what the process traced before.
    place = re.sub(r"<eval_with_key>\.\d+", "<traced graph>", place)
    mark = next((i for i, line in enumerate(lines) if "~~~" in line or "<--- HERE" in line), 0)
    code = lines[mark - 1].strip() if mark else ""
    return f"{place}: {code}" if code and code != place else place


def _problem(operator: Operator, table: OperatorTable) -> str:
    name = operator.full_name
    if not table.has(name):
        if table.has(name, mobile=False):
            return "only the desktop build has it, not the mobile one"
        return "does not exist there"
    most = table.max_args(name)
    if most is not None and operator.arguments is not None and operator.arguments > most:
        return f"is called with {operator.arguments} arguments, there it takes {most}"
    return ""


def check_compatibility(
    bytecode: Bytecode, runtime: str, *, graph: torch.jit.ScriptModule | None = None
) -> Verdict:
    """Judge a file's bytecode against `runtime`'s table; `graph` adds Python lines to errors."""
    table = load_table(runtime)
    problems = [(op, _problem(op, table)) for op in bytecode.operators]
    sources = _sources(graph) if any(text for _, text in problems) else {}
    missing = tuple(
        Missing(
            operator=op.full_name,
            reason=text,
            source=sources.get(op.name, ""),
            similar=table.similar(op.full_name),
        )
        for op, text in problems
        if text
    )
    low, high = table.bytecode
    backport = high if bytecode.version > high else None
    if bytecode.version < low:
        missing += (
            Missing(
                operator="bytecode",
                reason=f"version {bytecode.version} is older than the {low} it reads",
                source="",
                similar=(),
            ),
        )
    return Verdict(runtime=table.runtime, missing=missing, backport_to=backport)


def backport(path: Path, version: int) -> bytes:
    """Rewrite the lite file at `path` with an older bytecode version; return the new file."""
    try:
        return backport_lite(path, version)
    except RuntimeError as error:
        raise IncompatibleRuntime(
            f"Bytecode version {version} is what the runtime reads, and torch cannot write this "
            f"model in it: {str(error).splitlines()[0]}."
        ) from error


# What is known to help, by what is missing.
_WAYS_OUT = {
    "aten::scaled_dot_product_attention": (
        "write attention as matmul and softmax (timm models exported by name are built so)"
    ),
    "aten::rms_norm": "write RMSNorm out: x * rsqrt(mean(x*x) + eps) * weight",
    "aten::_upsample_lanczos2d_aa": (
        "it comes from a scripted F.interpolate; use `--capture trace`, or call the aten operator"
    ),
}


def refuse(verdict: Verdict, tried: Sequence[str]) -> IncompatibleRuntime:
    """Build the error: every missing operator, its Python line, and a way out."""
    listed = "; ".join(str(item) for item in verdict.missing[:6])
    more = f"; and {len(verdict.missing) - 6} more" if len(verdict.missing) > 6 else ""
    ways = [
        way
        for item in verdict.missing
        for name, way in _WAYS_OUT.items()
        if item.operator.split(".")[0] == name
    ]
    similar = [
        f"{item.operator}: it has {', '.join(item.similar)}"
        for item in verdict.missing
        if item.similar
    ][:3]
    advice = ". ".join(dict.fromkeys(ways)) or (
        "Rewrite that line with operators it has"
        + (f" ({'; '.join(similar)})" if similar else "")
        + ", or target a newer runtime with `--target`"
    )
    also = f" Tried: {'; '.join(tried)}." if tried else ""
    return IncompatibleRuntime(
        f"{verdict.runtime} cannot run this model; nothing was written. It lacks {listed}{more}. "
        f"{advice}.{also}"
    )
