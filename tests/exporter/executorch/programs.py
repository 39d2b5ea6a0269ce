"""Lower a module with XNNPACK and run it on ExecuTorch's own runtime, in a few lines."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from exporter.executorch.partition import partitioner

Change = Callable[[ExportedProgram], object]


def lowered(module: nn.Module, example: Tensor, *changes: Change) -> Any:
    """Export, change and lower; the edge program manager that ExecuTorch gives."""
    pytest.importorskip("executorch", reason="it is an extra: pip install '.[executorch]'")
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.export(module, (example,))
    for change in changes:
        change(exported)
    return to_edge_transform_and_lower(exported, partitioner=[partitioner()])


def left_outside(edge: Any) -> list[str]:
    """Names of the operators that no delegate took."""
    nodes = edge.exported_program().graph.nodes
    names = [str(getattr(n.target, "__name__", n.target)) for n in nodes if n.op == "call_function"]
    return [n for n in names if n not in ("executorch_call_delegate", "getitem")]


def run(edge: Any, inputs: list[Tensor]) -> list[Tensor]:
    """Run each input on the program in ExecuTorch's own runtime."""
    from executorch.runtime import Runtime

    root = Path(str((find_spec("executorch") or os).submodule_search_locations[0]))  # type: ignore[union-attr]  # a package has locations
    os.environ.setdefault("FLATC_EXECUTABLE", str(root / "data/bin/flatc"))
    program = Runtime.get().load_program(edge.to_executorch().buffer)
    method = program.load_method("forward")
    return [method.execute([x])[0].clone() for x in inputs]
