"""A program: exported modules lowered to the methods of one `.pte`, and how it is written down.

Lowering says nothing about files that later do not load, so what is written here is run in a
process of its own before it is kept (`exporter.verify`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from runtime_check.artifact.program import Method
from runtime_check.files import file_sha256

from ..environment import require_executorch
from ..errors import CaptureError
from ..package.program import ProgramFile
from .compiler import compiler
from .partition import partitioner

# What XNNPACK computes is one call of this in a program.
DELEGATE = "delegate::{}"


def exported(module: nn.Module, example: Sequence[Tensor]) -> ExportedProgram:
    """Capture a module by `torch.export`, for inputs of these sizes.

    Raises `CaptureError` with the first sentence of torch.
    """
    try:
        with compiler(), torch.no_grad():
            return torch.export.export(module, tuple(example), strict=False)
    except Exception as error:
        raise CaptureError(f"torch.export refuses it: {_first_line(error)}") from error


def save_program(methods: Mapping[Method, ExportedProgram], path: Path) -> ProgramFile:
    """Lower the methods and write one program; the same ones give the same bytes.

    `forward` is given to XNNPACK as far as it takes it. `preprocess` is left to ExecuTorch's
    portable operators: delegated, all its parts would be kept in memory at once. Raises
    `CaptureError` where ExecuTorch has no form of what a method does.
    """
    with compiler():
        from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

        partitioners = {name: [partitioner()] if name == "forward" else [] for name in methods}
        try:
            lowered = to_edge_transform_and_lower(
                dict(methods),
                partitioner=partitioners,
                # Sizes that are computed are no operators of the edge dialect, which it refuses.
                compile_config=EdgeCompileConfig(_check_ir_validity=False),
            )
            made = lowered.to_executorch()
        except Exception as error:
            raise CaptureError(
                f"ExecuTorch cannot lower it: {type(error).__name__}: {_first_line(error)}"
            ) from error
        path.write_bytes(made.buffer)
    plans = made.executorch_program.execution_plan
    return ProgramFile(
        path=path,
        bytes=path.stat().st_size,
        sha256=file_sha256(path),
        methods=tuple(name for name in ("preprocess", "forward") if name in methods),
        operators=_calls(plans),
        planned_bytes={plan.name: sum(plan.non_const_buffer_sizes) for plan in plans},
        executorch=require_executorch(),
    )


def _calls(plans: Sequence[Any]) -> dict[str, int]:
    """Count what the instructions of each method call, sorted by name."""
    counts: Counter[str] = Counter()
    for plan in plans:
        for instruction in (i for chain in plan.chains for i in chain.instructions):
            called = instruction.instr_args
            if hasattr(called, "op_index"):
                operator = plan.operators[called.op_index]
                name = (
                    f"{operator.name}.{operator.overload}" if operator.overload else operator.name
                )
                counts[name] += 1
            elif hasattr(called, "delegate_index"):
                counts[DELEGATE.format(plan.delegates[called.delegate_index].id)] += 1
    return dict(sorted(counts.items()))


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:240]
