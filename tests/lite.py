"""Lite files of bare modules, for tests and benchmarks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

from exporter.environment import one_thread
from exporter.lower.optimize import apply, attempts
from exporter.package.archive import save_lite
from exporter.quiet import quiet


def write_lite(module: nn.Module, path: Path) -> None:
    """Save a module as a lite file, optimized as an export's is."""
    with quiet(), one_thread(), tempfile.TemporaryDirectory() as scratch:
        scripted = torch.jit.script(module.eval())
        save_lite(apply(scripted, next(attempts(()))), Path(scratch)).path.replace(path)
