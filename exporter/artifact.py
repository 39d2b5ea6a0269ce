"""The exported file, callable like the module it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runtime_check.artifact.metadata import Metadata

from .environment import phone_engine
from .quiet import quiet
from .report.report import Report


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An exported file. Calling it runs the file itself, in the lite interpreter."""

    path: Path
    metadata: Metadata
    report: Report

    @cached_property
    def _module(self) -> Any:
        from torch.jit.mobile import _load_for_lite_interpreter

        with quiet(), phone_engine():
            return _load_for_lite_interpreter(str(self.path))

    def __call__(self, *inputs: Tensor) -> Any:
        """Run `forward` of the saved file: uint8 `[H, W, 3]` for image artifacts.

        Raises `ValueError` for inputs the metadata does not allow: the lite interpreter checks
        nothing, and its XNNPACK kernels read past a tensor with too few channels.
        """
        check_inputs(self.metadata, inputs)
        with quiet(), phone_engine(), torch.no_grad():
            return self._module(*inputs)


def check_inputs(metadata: Metadata, inputs: Sequence[Tensor]) -> None:
    """Raise `ValueError` when `inputs` are not what the artifact's metadata says it takes."""
    given = metadata.input
    if given.kind == "image":
        if len(inputs) != 1:
            raise ValueError(f"this artifact takes one image, not {len(inputs)} inputs")
        return  # the graph checks shape, type and size itself
    shapes = [tuple(t.shape) for t in inputs]
    wanted = [tuple(spec.shape) for spec in given.tensors]
    fits = len(shapes) == len(wanted) and all(
        len(a) == len(b) and a[1:] == b[1:] and (given.dynamic_batch or a[:1] == b[:1])
        for a, b in zip(shapes, wanted, strict=True)
    )
    types = [str(t.dtype).removeprefix("torch.") for t in inputs]
    if not fits or types != [spec.dtype for spec in given.tensors]:
        batch = " (any batch)" if given.dynamic_batch else ""
        raise ValueError(
            f"this artifact takes {[(s.dtype, s.shape) for s in given.tensors]}{batch}, "
            f"not {list(zip(types, map(list, shapes), strict=True))}"
        )
